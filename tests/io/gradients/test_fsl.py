from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bids_shresnet.errors import BadInput, InputMissing
from bids_shresnet.io.gradients.fsl import read_fsl_table, write_fsl_table

ROTATIONS = st.lists(st.tuples(*[st.floats(-3, 3)] * 3), min_size=1, max_size=7)
BVAL = "0 1000 1000\n"
BVEC = "0 1 0\n0 0 0.6\n0 0 0.8\n"
SPELLINGS = [
    pytest.param(BVAL, BVEC, id="three lines"),
    pytest.param(BVAL.rstrip(), BVEC.rstrip(), id="no final line end"),
    pytest.param("0\n1000\n1000\n", "0 1 0 \n\n0 0 0.6 \n0 0 0.8 \n", id="column and empty line"),
    pytest.param(BVAL, "0.6 1 0\n0 0 0.6\n0.8 0 0.8\n", id="b0 with a direction"),
    pytest.param(BVAL, "nan 1 0\nnan 0 0.6\nnan 0 0.8\n", id="b0 with a direction of nan"),
    pytest.param("5 1000 1000\n", "0 0.5 0\n0 0 0.3\n0 0 0.4\n", id="GE's lengths"),
    pytest.param(BVAL + "1000", "0 0 0\n1 0 0\n0 0.6 0.8\n0 0 -1\n", id="n x 3"),
]
BAD_TABLES = [
    pytest.param("0 1000", BVEC, "a.bvec", "3 b-vectors for 2 b-values", id="counts"),
    pytest.param(BVAL, "0 1 0\n0 0 0\n0 0 0\n", "a.bvec", "volumes 2 ", id="no direction"),
    pytest.param(BVAL, "0 1 nan\n0 0 0\n0 0 1\n", "a.bvec", "volumes 2 ", id="direction of nan"),
    pytest.param(BVAL, "0 1 0\n0 0\n0 0 1\n", "a.bvec", "lines of", id="ragged"),
    pytest.param(BVAL, "0 1 0 0\n0 0 1 1\n", "a.bvec", "2 x 4", id="two lines"),
    pytest.param("0 b 1000", BVEC, "a.bval", "'b'", id="words"),
    pytest.param("", BVEC, "a.bval", "empty", id="empty"),
    pytest.param("0 nan 1000", BVEC, "a.bval", "nan", id="b of nan"),
    pytest.param("0 -5 1000", BVEC, "a.bval", "-5", id="negative b"),
]


def write_texts(folder: Path, bval: str, bvec: str) -> tuple[Path, Path]:
    (folder / "a.bval").write_text(bval)
    (folder / "a.bvec").write_text(bvec)
    return folder / "a.bval", folder / "a.bvec"


@pytest.mark.slow
@given(rotations=ROTATIONS)
def test_a_written_table_is_read_back(
    rotations: list[tuple[float, float, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    directions = [Rotation.from_rotvec(rotation).apply([0, 0, 1]) for rotation in rotations]
    bvecs = np.array([[0.0, 0, 0], *directions])
    bvals = np.concatenate([[0.0], 1000.0 + 5 * np.arange(len(directions))])
    write_fsl_table(folder / "a.bval", folder / "a.bvec", bvals, bvecs)
    read_bvals, read_bvecs = read_fsl_table(folder / "a.bval", folder / "a.bvec")
    np.testing.assert_array_equal(read_bvals, bvals)
    np.testing.assert_allclose(read_bvecs, bvecs, atol=2e-6)


@pytest.mark.parametrize(("bval", "bvec"), SPELLINGS)
def test_all_spellings_of_a_table_give_unit_vectors_and_the_written_b(
    bval: str, bvec: str, tmp_path: Path
) -> None:
    bvals, bvecs = read_fsl_table(*write_texts(tmp_path, bval, bvec))
    directions = [[0, 0, 0], [1, 0, 0], [0, 0.6, 0.8], [0, 0, -1]]
    np.testing.assert_array_equal(bvals, [float(b) for b in bval.split()])
    np.testing.assert_allclose(bvecs, np.array(directions[: len(bvals)]), atol=1e-12)


@pytest.mark.parametrize(("bval", "bvec", "file", "value"), BAD_TABLES)
def test_a_bad_table_is_refused_with_its_name_and_value(
    bval: str, bvec: str, file: str, value: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput) as caught:
        read_fsl_table(*write_texts(tmp_path, bval, bvec))
    (finding,) = caught.value.findings
    assert finding.file == str(tmp_path / file)
    assert value in finding.value


def test_a_link_without_content_asks_for_it(tmp_path: Path) -> None:
    bval, bvec = write_texts(tmp_path, BVAL, BVEC)
    bvec.unlink()
    bvec.symlink_to(tmp_path / ".git/annex/objects/gone")
    with pytest.raises(InputMissing, match="datalad get"):
        read_fsl_table(bval, bvec)
