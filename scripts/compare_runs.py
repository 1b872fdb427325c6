#!/usr/bin/env python3
"""Whether two runs gave the same images and networks: compare_runs.py OUT_A OUT_B. Exit code 1 if they did not."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from safetensors.numpy import load_file

TOLERANCE = 1e-3  # of an array's largest value: what another processor may round differently, and training amplify


def arrays(path: Path) -> dict[str, np.ndarray]:
    """What a file holds, by name."""
    return (
        load_file(path)
        if path.suffix == ".safetensors"
        else {"": np.asanyarray(nib.load(path).dataobj)}
    )


def results(out: Path) -> dict[Path, Path]:
    """Images and networks of an output folder, by their place in it."""
    found = [path for pattern in ("*.nii.gz", "*.safetensors") for path in out.rglob(pattern)]
    return {path.relative_to(out): path for path in found}


def difference(one: Path, other: Path) -> float:
    """Largest difference of two files' arrays, as a fraction of the array's largest value; NaN equals NaN."""
    ours, theirs = arrays(one), arrays(other)
    if ours.keys() != theirs.keys():
        return np.inf
    return max((_difference(ours[name], theirs[name]) for name in ours), default=0.0)


def _difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    if ours.shape != theirs.shape:
        return np.inf
    if np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f"):
        return 0.0
    scale = np.abs(ours).max() or 1
    return float(np.abs(ours.astype(float) - theirs).max() / scale)


def main(one: Path, other: Path) -> int:
    """Compare, print a line, return the exit code."""
    ours, theirs = results(one), results(other)
    differences = {
        name: difference(ours[name], theirs[name]) for name in ours.keys() & theirs.keys()
    }
    missing = ours.keys() ^ theirs.keys()
    far = sorted(name for name, value in differences.items() if not value <= TOLERANCE)
    equal = sum(value == 0 for value in differences.values())
    worst = max(differences.values(), default=np.nan)
    lines = [
        f"{one} and {other}: {len(differences)} files, {equal} equal bit by bit, largest difference {worst:.2g}",
        *(f"only in one: {name}" for name in sorted(missing)),
        *(f"differ by more than {TOLERANCE}: {name} ({differences[name]:.2g})" for name in far),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if missing or far or not differences else 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
