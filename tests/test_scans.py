from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.scans import Dwi, Scanner
from tests.factories import make_scan

DIRECTION = np.array([0.6, 0.0, 0.8])


def make_dwi(bvals: Float[np.ndarray, " n"], bvecs: Float[np.ndarray, "n 3"]) -> Dwi:
    return Dwi(np.ones((2, 2, 2, len(bvals))), np.eye(4), bvals, bvecs)


def test_volumes_below_50_are_without_weighting_and_those_from_50_on_are_directions() -> None:
    bvals = np.array([0.0, 5.0, 49.9, 50.0, 1000.0])
    dwi = make_dwi(bvals, np.tile(DIRECTION, (5, 1)))
    assert dwi.is_b0.tolist() == [True, True, True, False, False]
    assert make_scan(bvals=tuple(bvals.tolist())).direction_count == 2


@pytest.mark.parametrize("length", [0.5, 0.99, 1.01, 2.0, 1e-3])
def test_a_b_vector_is_of_length_1_or_0(length: float) -> None:
    for allowed in (0.0, 1.0, 1.0005):  # tables are rounded
        make_dwi(np.array([1000.0]), allowed * DIRECTION[None])
    with pytest.raises(ValueError, match=f"unit or zero, not {length:.3f}"):
        make_dwi(np.array([1000.0]), length * DIRECTION[None])


@pytest.mark.parametrize("label", ["", ".", "..", "a/b", "/a", "a b", "a-b", "a_b", "é", "²"])
def test_a_scanner_label_is_letters_and_digits_because_it_names_folders(label: str) -> None:
    assert Scanner("Prisma66083").label == "Prisma66083"
    with pytest.raises(ValueError, match="letters and digits only"):
        Scanner(label)


@pytest.mark.parametrize("field", ["mask", "b_table"])
def test_the_signal_depends_on_all_files_that_a_scan_names(field: str) -> None:
    scan = make_scan(Path("x"))
    assert set(scan.files) == {Path("x.nii.gz"), Path("x.bval"), Path("x.bvec")}
    changes: dict[str, Any] = {field: Path("other")}
    assert set(replace(scan, **changes).files) == {*scan.files, Path("other")}
