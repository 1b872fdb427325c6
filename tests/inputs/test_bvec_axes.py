from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.errors import BadInput
from bids_shresnet.inputs.bvec_axes import find_bvec_axes
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.io.gradients.gradient_axes import image_axes, to_fsl
from bids_shresnet.io.gradients.mrtrix import write_b_table
from bids_shresnet.scans import BvecAxes
from tests.datasets import spiral

BVALS = np.array([0.0] + [1000.0] * 7)
WORLD = np.concatenate([np.zeros((1, 3)), spiral(7)])
LPS = np.diag([-2.0, -2.0, 2.0, 1.0])  # as QSIPrep's images: FSL flips x, QSIPrep does not
LAS = np.diag([-2.0, 2.0, 2.0, 1.0])  # as dcm2niix's: there is nothing to flip


def dwi_file(pipeline: str = "", b_table: Path | None = None) -> DwiFile:
    return DwiFile(
        image=Path("dwi.nii.gz"),
        dataset=Path(),
        suffix="dwi",
        entities={},
        metadata={},
        pipeline=pipeline,
        b_table=b_table,
        bvec=Path("dwi.bvec"),
    )


@pytest.fixture
def b_table(tmp_path: Path) -> Path:
    path = tmp_path / "x_dwi.b"
    write_b_table(path, BVALS, WORLD)
    return path


@pytest.mark.parametrize(
    ("pipeline", "axes"), [("qsiprep", "image"), ("mrtrix", "fsl"), ("", "fsl")]
)
def test_without_a_b_table_the_pipeline_decides(pipeline: str, axes: BvecAxes) -> None:
    bvecs = WORLD @ image_axes(LPS)
    assert find_bvec_axes(dwi_file(pipeline), bvecs, LPS) == (axes, ())


@pytest.mark.parametrize("pipeline", ["qsiprep", ""])
def test_a_b_table_decides_whatever_the_pipeline(pipeline: str, b_table: Path) -> None:
    file = dwi_file(pipeline, b_table)
    assert find_bvec_axes(file, WORLD @ image_axes(LPS), LPS) == ("image", ())
    assert find_bvec_axes(file, to_fsl(WORLD, LPS), LPS) == ("fsl", ())


@pytest.mark.parametrize(("pipeline", "axes"), [("qsiprep", "image"), ("", "fsl")])
def test_the_pipeline_decides_if_the_axes_do_not_differ(
    pipeline: str, axes: BvecAxes, b_table: Path
) -> None:
    assert find_bvec_axes(dwi_file(pipeline, b_table), to_fsl(WORLD, LAS), LAS)[0] == axes


def test_tables_that_contradict_each_other_give_a_warning(b_table: Path) -> None:
    bvecs = to_fsl(WORLD, LAS)[:, [1, 2, 0]]
    _, (finding,) = find_bvec_axes(dwi_file("", b_table), bvecs, LAS)
    assert (finding.severity, finding.file) == ("warning", "dwi.bvec")
    assert "degrees apart" in finding.value
    assert "x_dwi.b is used" in finding.remedy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 0\n", "lines of"),
        ("1 0 0 0\n", "1 directions, but 8"),
        ("1 0 0 0\n" * 9, "9 directions, but 8"),
        ("one 0 0 0\n", "not a table"),
    ],
)
def test_a_b_table_that_cannot_be_the_scans_is_refused(
    text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "dwi.b").write_text(text)
    with pytest.raises(BadInput, match=message):
        find_bvec_axes(dwi_file("", tmp_path / "dwi.b"), WORLD, LAS)
