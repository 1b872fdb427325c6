from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from bids_shresnet.errors import BadInput, InputMissing
from bids_shresnet.io.fsl import read_fsl_table, write_fsl_table
from bids_shresnet.io.gradient_axes import from_fsl, to_fsl
from tests.io.grids import grids

UNIT = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0, 0.8], [0.6, -0.8, 0]])
TABLE = ("0 1000 1000\n", "0 1 0\n0 0 0.6\n0 0 0.8\n")


def tables(folder: Path, bval: str, bvec: str) -> tuple[Path, Path]:
    (folder / "a.bval").write_text(bval)
    (folder / "a.bvec").write_text(bvec)
    return folder / "a.bval", folder / "a.bvec"


@pytest.mark.parametrize(
    ("diagonal", "signs"),
    [  # the letters say where each image axis points
        pytest.param([2, 2, 2], [-1, 1, 1], id="RAS"),
        pytest.param([-2, 2, 2], [-1, 1, 1], id="LAS"),
        pytest.param([-2, -2, 2], [1, -1, 1], id="LPS"),
        pytest.param([2, -2, 2], [1, -1, 1], id="RPS"),
        pytest.param([2, 2, -2], [1, 1, -1], id="RAI"),
    ],
)
def test_fsl_vectors_of_grids_along_the_world_axes_differ_by_signs_only(
    diagonal: list[int], signs: list[int]
) -> None:
    np.testing.assert_allclose(from_fsl(UNIT, np.diag([*diagonal, 1.0])), UNIT * signs, atol=1e-12)


@given(affine=grids())
def test_fsl_vectors_are_steps_through_a_radiological_image(
    affine: Float[np.ndarray, "4 4"],
) -> None:
    # FSL reads every image as if its first axis ran from right to left; mirror it where the file says otherwise
    mirrored = affine @ np.diag([-1.0, 1, 1, 1]) if np.linalg.det(affine[:3, :3]) > 0 else affine
    steps = UNIT / np.linalg.norm(mirrored[:3, :3], axis=0)  # 1 mm along each vector, in voxels
    ends = np.c_[steps, np.ones(len(steps))] @ mirrored.T
    np.testing.assert_allclose(from_fsl(UNIT, affine), ends[:, :3] - mirrored[:3, 3], atol=1e-9)


@given(affine=grids(), pose=st.tuples(*[st.floats(-3, 3)] * 3))
def test_turning_a_scan_with_its_grid_does_not_change_its_fsl_table(
    affine: Float[np.ndarray, "4 4"], pose: tuple[float, float, float]
) -> None:
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_rotvec(pose).as_matrix()
    np.testing.assert_allclose(
        to_fsl(UNIT @ turn[:3, :3].T, turn @ affine), to_fsl(UNIT, affine), atol=1e-9
    )


@given(affine=grids())
def test_to_fsl_undoes_from_fsl_and_keeps_lengths(affine: Float[np.ndarray, "4 4"]) -> None:
    np.testing.assert_allclose(to_fsl(from_fsl(UNIT, affine), affine), UNIT, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(from_fsl(UNIT, affine), axis=1), 1, atol=1e-12)


@pytest.mark.parametrize(("column", "word"), [([0.2, 2, 0], "sheared"), ([0, 0, 0], "voxel sizes")])
def test_a_grid_without_orthogonal_axes_has_no_fsl_vectors(column: list[float], word: str) -> None:
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 1] = column
    with pytest.raises(ValueError, match=word):
        from_fsl(UNIT, affine)


@given(affine=grids(), data=st.data())
def test_a_written_table_comes_back(
    affine: Float[np.ndarray, "4 4"], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    turns = data.draw(st.lists(st.tuples(*[st.floats(-3, 3)] * 3), min_size=1, max_size=7))
    bvecs = np.array(
        [[0.0, 0, 0], *(Rotation.from_rotvec(turn).apply([0, 0, 1]) for turn in turns)]
    )
    bvals = np.array([0.0, *(1000.0 + 5 * i for i in range(len(turns)))])
    write_fsl_table(folder / "a.bval", folder / "a.bvec", bvals, to_fsl(bvecs, affine))
    read_bvals, read_bvecs = read_fsl_table(folder / "a.bval", folder / "a.bvec")
    np.testing.assert_array_equal(read_bvals, bvals)
    np.testing.assert_allclose(from_fsl(read_bvecs, affine), bvecs, atol=2e-6)


@pytest.mark.parametrize(
    ("bval", "bvec"),
    [
        pytest.param(*TABLE, id="three lines"),
        pytest.param("0 1000 1000", "0 1 0\n0 0 0.6\n0 0 0.8", id="no final line end"),
        pytest.param(
            "0\n1000\n1000\n",
            "0 1 0 \n\n0 0 0.6 \n0 0 0.8 \n",
            id="a column of b and an empty line",
        ),
        pytest.param("0 1000 1000\n", "0.6 1 0\n0 0 0.6\n0.8 0 0.8\n", id="b0 with a direction"),
        pytest.param(
            "0 1000 1000\n", "nan 1 0\nnan 0 0.6\nnan 0 0.8\n", id="b0 with a direction of nan"
        ),
        pytest.param("5 1000 1000\n", "0 0.5 0\n0 0 0.3\n0 0 0.4\n", id="GE's lengths"),
    ],
)
def test_all_spellings_of_a_table_give_unit_vectors_and_the_b_as_written(
    bval: str, bvec: str, tmp_path: Path
) -> None:
    bvals, bvecs = read_fsl_table(*tables(tmp_path, bval, bvec))
    np.testing.assert_array_equal(bvals, [float(b) for b in bval.split()])
    np.testing.assert_allclose(bvecs, np.array([[0, 0, 0], [1, 0, 0], [0, 0.6, 0.8]]), atol=1e-12)


def test_a_table_of_rows_is_read_as_one_of_columns(tmp_path: Path) -> None:
    _, bvecs = read_fsl_table(
        *tables(tmp_path, "0 1000 1000 1000", "0 0 0\n1 0 0\n0 0.6 0.8\n0 0 -1\n")
    )
    np.testing.assert_allclose(
        bvecs, np.array([[0, 0, 0], [1, 0, 0], [0, 0.6, 0.8], [0, 0, -1]]), atol=1e-12
    )


@pytest.mark.parametrize(
    ("bval", "bvec", "file", "value"),
    [
        pytest.param("0 1000", TABLE[1], "a.bvec", "3 b-vectors for 2 b-values", id="counts"),
        pytest.param(TABLE[0], "0 1 0\n0 0 0\n0 0 0\n", "a.bvec", "volumes 2 ", id="no direction"),
        pytest.param(
            TABLE[0], "0 1 nan\n0 0 0\n0 0 1\n", "a.bvec", "volumes 2 ", id="direction of nan"
        ),
        pytest.param(TABLE[0], "0 1 0\n0 0\n0 0 1\n", "a.bvec", "lines of", id="ragged"),
        pytest.param(TABLE[0], "0 1 0 0\n0 0 1 1\n", "a.bvec", "2 x 4", id="two lines"),
        pytest.param("0 b 1000", TABLE[1], "a.bval", "'b'", id="words"),
        pytest.param("", TABLE[1], "a.bval", "empty", id="empty"),
        pytest.param("0 nan 1000", TABLE[1], "a.bval", "nan", id="b of nan"),
        pytest.param("0 -5 1000", TABLE[1], "a.bval", "-5", id="negative b"),
    ],
)
def test_a_bad_table_is_refused_with_its_name_and_value(
    bval: str, bvec: str, file: str, value: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput) as refusal:
        read_fsl_table(*tables(tmp_path, bval, bvec))
    (finding,) = refusal.value.findings
    assert finding.file == str(tmp_path / file)
    assert value in finding.value


def test_a_link_without_content_asks_for_it(tmp_path: Path) -> None:
    bval, bvec = tables(tmp_path, *TABLE)
    bvec.unlink()
    bvec.symlink_to(tmp_path / ".git/annex/objects/gone")
    with pytest.raises(InputMissing, match="datalad get"):
        read_fsl_table(bval, bvec)
