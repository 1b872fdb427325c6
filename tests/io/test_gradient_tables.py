from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from jaxtyping import Float

from bids_shresnet.errors import BadInput
from bids_shresnet.inputs.bvec_axes import find_bvec_axes
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.io.gradient_axes import to_fsl
from bids_shresnet.io.gradient_tables import read_gradient_table, write_gradient_table
from bids_shresnet.io.mrtrix import read_b_table
from bids_shresnet.scans import BvecAxes, Dwi
from tests.datasets import spiral
from tests.factories import make_scan
from tests.io.grids import grids

BVALS = np.array([0.0] + [1000.0] * 7)
WORLD = np.concatenate([np.zeros((1, 3)), spiral(7)])
DWI = Dwi(np.zeros((1, 1, 1, 8), np.float32), np.eye(4), BVALS, WORLD)
LPS = np.diag([-2.0, -2.0, 2.0, 1.0])  # as QSIPrep's images: FSL flips x, QSIPrep does not
LAS = np.diag([-2.0, 2.0, 2.0, 1.0])  # as dcm2niix's: there is nothing to flip


def file_of(pipeline: str = "", b_table: Path | None = None) -> DwiFile:
    return DwiFile(
        Path("dwi.nii.gz"),
        Path(),
        "dwi",
        {},
        {},
        pipeline=pipeline,
        b_table=b_table,
        bvec=Path("dwi.bvec"),
    )


def image_bvecs(affine: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "n 3"]:
    """By nibabel alone: how far a world direction goes along each axis of an unsheared image."""
    return np.asarray(WORLD @ affine[:3, :3] / nib.affines.voxel_sizes(affine))


@pytest.mark.parametrize("axes", ["fsl", "image"])
@given(affine=grids())
def test_a_table_is_read_as_it_was_written_on_any_grid(
    axes: BvecAxes, affine: Float[np.ndarray, "4 4"], tmp_path_factory: pytest.TempPathFactory
) -> None:
    stem = tmp_path_factory.getbasetemp() / f"{axes}_dwi"
    write_gradient_table(stem, DWI, affine, bvec_axes=axes, has_b_table=True)
    scan = make_scan(stem, bvals=tuple(BVALS), bvec_axes=axes)
    for one in (scan, replace(scan, b_table=stem.with_name(f"{stem.name}.b"))):
        bvals, bvecs = read_gradient_table(one, affine)
        np.testing.assert_array_equal(bvals, BVALS)
        np.testing.assert_allclose(bvecs, WORLD, atol=2e-6)


@given(affine=grids())
def test_image_axes_are_the_images_own(
    affine: Float[np.ndarray, "4 4"], tmp_path_factory: pytest.TempPathFactory
) -> None:
    stem = tmp_path_factory.getbasetemp() / "own_dwi"
    write_gradient_table(stem, DWI, affine, bvec_axes="image", has_b_table=False)
    np.testing.assert_allclose(np.loadtxt(f"{stem}.bvec").T, image_bvecs(affine), atol=1e-4)
    assert not Path(f"{stem}.b").exists()


@pytest.mark.parametrize(
    ("pipeline", "axes"), [("qsiprep", "image"), ("mrtrix", "fsl"), ("", "fsl")]
)
def test_without_a_b_table_the_pipeline_tells_what_bvecs_count_along(
    pipeline: str, axes: BvecAxes
) -> None:
    assert find_bvec_axes(file_of(pipeline), image_bvecs(LPS), LPS) == (axes, ())


@pytest.mark.parametrize("pipeline", ["qsiprep", ""])
def test_a_b_table_tells_what_bvecs_count_along_whatever_the_pipeline(
    pipeline: str, tmp_path: Path
) -> None:
    write_gradient_table(tmp_path / "x_dwi", DWI, LPS, bvec_axes="fsl", has_b_table=True)
    file = file_of(pipeline, tmp_path / "x_dwi.b")
    assert find_bvec_axes(file, image_bvecs(LPS), LPS) == ("image", ())
    assert find_bvec_axes(file, to_fsl(WORLD, LPS), LPS) == ("fsl", ())
    assert find_bvec_axes(file, to_fsl(WORLD, LAS), LAS)[0] == (
        "image" if pipeline else "fsl"
    )  # no difference there


def test_tables_that_contradict_each_other_are_warned_of_and_the_b_table_counts(
    tmp_path: Path,
) -> None:
    write_gradient_table(tmp_path / "x_dwi", DWI, LAS, bvec_axes="fsl", has_b_table=True)
    _, (finding,) = find_bvec_axes(
        file_of("", tmp_path / "x_dwi.b"), to_fsl(WORLD, LAS)[:, [1, 2, 0]], LAS
    )
    assert (finding.severity, finding.file) == ("warning", "dwi.bvec")
    assert "degrees apart" in finding.value
    assert "x_dwi.b is used" in finding.remedy


@pytest.mark.parametrize(
    ("text", "said"),
    [("1 0 0\n", "lines of"), ("1 0 0 0\n", "1 directions, but 8"), ("one 0 0 0\n", "not a table")],
)
def test_a_b_table_that_cannot_be_the_scans_is_refused(
    text: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "dwi.b").write_text(text)
    with pytest.raises(BadInput, match=said):
        find_bvec_axes(file_of("", tmp_path / "dwi.b"), WORLD, LAS)


def test_a_b_table_holds_world_directions_and_b_values(tmp_path: Path) -> None:
    write_gradient_table(tmp_path / "dwi", DWI, LPS, bvec_axes="image", has_b_table=True)
    np.testing.assert_allclose(read_b_table(tmp_path / "dwi.b"), WORLD, atol=1e-6)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "dwi.b")[:, 3], BVALS)
