from __future__ import annotations

import runpy
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

SCRIPT = runpy.run_path(str(Path(__file__).parent.parent / "scripts" / "compare_runs.py"))


def write(out: Path, values: np.ndarray, name: str = "dwi.nii.gz") -> Path:
    (out / "sub-01").mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values.astype(np.float32), np.eye(4)), out / "sub-01" / name)
    return out


@pytest.mark.parametrize(("change", "code"), [(0, 0), (0.9e-3, 0), (1.1e-3, 1), (np.nan, 1)])
def test_a_difference_counts_from_a_thousandth_of_the_largest_value(
    change: float, code: int, tmp_path: Path
) -> None:
    values = np.full((2, 2, 2), 5.0)
    other = values.copy()
    other[0, 0, 0] += 5 * change
    assert SCRIPT["main"](write(tmp_path / "a", values), write(tmp_path / "b", other)) == code


def test_nan_in_the_same_place_is_equal(tmp_path: Path) -> None:
    values = np.array([[[1, np.nan]]])
    assert SCRIPT["main"](write(tmp_path / "a", values), write(tmp_path / "b", values)) == 0


def test_a_file_or_a_shape_that_only_one_has_is_a_difference(tmp_path: Path) -> None:
    values = np.ones((2, 2, 2))
    one, other = write(tmp_path / "a", values), write(tmp_path / "b", values)
    assert SCRIPT["main"](one, other) == 0
    assert SCRIPT["main"](one, write(other, values, "mask.nii.gz")) == 1
    assert SCRIPT["main"](one, write(tmp_path / "c", values[:1])) == 1


def test_two_runs_without_results_are_no_success(tmp_path: Path) -> None:
    assert SCRIPT["main"](tmp_path, tmp_path) == 1
