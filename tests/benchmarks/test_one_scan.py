from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from benchmarks.one_scan import format_costs, measure_reference
from tests.datasets import GE, Series, write_tree


def test_imports_count_as_nothing_and_pictures_are_told_apart() -> None:
    seconds = {"imports": 50.0, "pictures": 2.0, "networks": 3.0, "writing": 1.0}
    assert format_costs(seconds, 2.0).splitlines()[2:] == [
        "| reading, DIPY's tensors, writing | 2.0 | 1.0 |",
        "| harmonizing without pictures | 4.0 | 2.0 |",
        "| harmonizing | 6.0 | 3.0 |",
    ]


def test_a_scan_is_read_fitted_and_written(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "bids", {"sub-01/dwi/sub-01_dwi": Series(sidecar=GE)})
    mask = tmp_path / "out/derivatives/shresnet/sub-01/dwi/sub-01_mask.nii.gz"
    mask.parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.uint8), np.eye(4)), mask)
    assert measure_reference(root, tmp_path / "out", "01") > 0
