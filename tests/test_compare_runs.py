from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

SCRIPT = runpy.run_path(str(Path(__file__).parent.parent / "scripts" / "compare_runs.py"))

compare_runs: Callable[[Path, Path], int] = SCRIPT["main"]


def write_run(out: Path, values: np.ndarray, name: str = "dwi.nii.gz") -> Path:
    """Write one image into an output folder and return the folder."""
    (out / "sub-01").mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values.astype(np.float32), np.eye(4)), out / "sub-01" / name)
    return out


@pytest.mark.parametrize(("change", "code"), [(0, 0), (0.9e-3, 0), (1.1e-3, 1), (np.nan, 1)])
def test_a_difference_counts_from_a_thousandth_of_the_largest_value(
    change: float, code: int, tmp_path: Path
) -> None:
    values = np.full((2, 2, 2), 5.0)
    changed = values.copy()
    changed[0, 0, 0] += 5 * change
    first = write_run(tmp_path / "first", values)
    assert compare_runs(first, write_run(tmp_path / "second", changed)) == code


def test_nan_at_the_same_voxel_is_equal(tmp_path: Path) -> None:
    values = np.array([[[1, np.nan]]])
    first = write_run(tmp_path / "first", values)
    assert compare_runs(first, write_run(tmp_path / "second", values)) == 0


def test_another_shape_is_a_difference(tmp_path: Path) -> None:
    first = write_run(tmp_path / "first", np.ones((2, 2, 2)))
    assert compare_runs(first, write_run(tmp_path / "second", np.ones((1, 2, 2)))) == 1


def test_a_file_that_only_one_run_has_is_a_difference(tmp_path: Path) -> None:
    values = np.ones((2, 2, 2))
    first = write_run(tmp_path / "first", values)
    second = write_run(tmp_path / "second", values)
    assert compare_runs(first, second) == 0
    assert compare_runs(first, write_run(second, values, "mask.nii.gz")) == 1


def test_two_runs_without_results_are_not_equal(tmp_path: Path) -> None:
    assert compare_runs(tmp_path, tmp_path) == 1
