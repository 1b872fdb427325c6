#!/usr/bin/env python3
"""Compare the images and networks of two runs: compare_runs.py OUT_A OUT_B.

The exit code is 1 if they differ.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from safetensors.numpy import load_file

# Share of an array's largest value. Another processor may round differently, and training
# amplifies that.
TOLERANCE = 1e-3
PATTERNS = ("*.nii.gz", "*.safetensors")


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file by their names; an image has one without a name."""
    if path.suffix == ".safetensors":
        return load_file(path)
    return {"": np.asanyarray(nib.Nifti1Image.from_filename(path).dataobj)}


def find_results(out: Path) -> dict[Path, Path]:
    """Return the images and networks of an output folder by their paths in it."""
    return {path.relative_to(out): path for pattern in PATTERNS for path in out.rglob(pattern)}


def file_difference(first: Path, second: Path) -> float:
    """Return the largest difference of two files' arrays, infinite if they hold others."""
    first_arrays = read_arrays(first)
    second_arrays = read_arrays(second)
    if first_arrays.keys() != second_arrays.keys():
        return np.inf
    differences = (
        array_difference(array, second_arrays[name]) for name, array in first_arrays.items()
    )
    return max(differences, default=0.0)


def array_difference(first: np.ndarray, second: np.ndarray) -> float:
    """Return the largest difference as a share of the largest value; NaN equals NaN."""
    if first.shape != second.shape:
        return np.inf
    if np.array_equal(first, second, equal_nan=first.dtype.kind == "f"):
        return 0.0
    scale = np.abs(first).max() or 1
    return float(np.abs(first.astype(float) - second).max() / scale)


def main(first: Path, second: Path) -> int:
    """Compare, print the differences and return the exit code."""
    first_results = find_results(first)
    second_results = find_results(second)
    differences = {
        name: file_difference(first_results[name], second_results[name])
        for name in sorted(first_results.keys() & second_results.keys())
    }
    lines = [f"only in one run: {name}" for name in first_results.keys() ^ second_results.keys()]
    for name, value in differences.items():
        if not value <= TOLERANCE:  # NaN is a difference
            lines.append(f"differ by more than {TOLERANCE}: {name} ({value:.2g})")
    summary = _summarize(first, second, list(differences.values()))
    sys.stdout.write("\n".join([summary, *sorted(lines)]) + "\n")
    return 1 if lines or not differences else 0


def _summarize(first: Path, second: Path, differences: list[float]) -> str:
    equal = differences.count(0.0)
    largest = max(differences, default=np.nan)
    return (
        f"{first} and {second}: {len(differences)} files, {equal} equal bit by bit, "
        f"largest difference {largest:.2g}"
    )


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
