from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.datasets import PRISMA, Series, write_tree
from tests.inventories import B0_SHELLS, DWI, find_inventory


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({DWI: Series(B0_SHELLS)}, "reverse phase-encoding"),
        ({DWI: Series({0: 3, 2000: 3})}, "only 3 directions"),
        ({DWI: Series({0: 1, 1000: 5})}, "only 5 directions"),
        ({DWI: Series({500: 3, 1000: 6})}, "no b=0 image"),
        ({DWI: Series(), f"{DWI}.bvec": "\n".join(["0 " * 7] * 3)}, "trace"),
        ({"sub-01/dwi/sub-01_ADC.nii.gz": np.zeros((2, 2, 2), np.int16)}, "ADC"),
        ({"sub-01/dwi/sub-01_part-phase_dwi": Series()}, "phase part"),
        ({"sub-01/dwi/sub-01_desc-denoised_dwi": Series()}, "desc-denoised"),
        ({"dwi": Series(sidecar=PRISMA)}, "no subject"),
        ({"sub-01/dwi/sub-01_run-1_odd-1_dwi": Series()}, "odd-1"),
        ({"sub-01/dwi/sub-01_run-1a_dwi": Series()}, "run-1a"),
        ({"sub-01/dwi/sub-01_echo-1_dwi": Series()}, "no field for (echo)"),
        ({DWI: Series({0: 2}, has_tables=False)}, "2 volumes without b-values"),
    ],
)
def test_a_file_that_cannot_be_harmonized_is_excluded_with_a_reason_and_is_no_error(
    tmp_path: Path, tree: dict[str, Any], words: str
) -> None:
    inventory = find_inventory(write_tree(tmp_path / "data", tree))
    (scan,) = inventory.excluded
    assert words in scan.reason
    assert inventory.scans == ()
    assert inventory.findings == ()


@pytest.mark.parametrize(
    ("extension", "content", "words", "named_extension"),
    [
        (".bval", "0 1000 1000 1000 1000 1000 nan", "no finite numbers, in volumes 6", ".bval"),
        (".bval", "0 1000 1000 1000 1000 1000 1000 1000", "7 b-vectors for 8 b-values", ".bvec"),
        (".bval", "0 1000", "7 b-vectors for 2 b-values", ".bvec"),
        (".bvec", "\n".join(["0 0 1 1 1 1 1"] * 3), "no direction in the volumes 1", ".bvec"),
        (".nii.gz", np.zeros((2, 2, 2, 5), np.int16), "5 volumes, but 7 b-values", ".nii.gz"),
        (".nii.gz", "not an image", "cannot be read", ".nii.gz"),
        (".nii.gz", "", "empty", ".nii.gz"),
        (".json", {"EchoTime": 1}, "ManufacturersModelName and DeviceSerialNumber", ".nii.gz"),
    ],
)
def test_a_broken_file_is_an_error_that_names_file_and_value(
    tmp_path: Path, extension: str, content: Any, words: str, named_extension: str
) -> None:
    tree = {DWI: Series(sidecar=PRISMA), f"{DWI}{extension}": content}
    inventory = find_inventory(write_tree(tmp_path / "data", tree))
    error = next(finding for finding in inventory.findings if words in finding.value)
    assert error.severity == "error"
    assert Path(error.file).name == f"sub-01_dwi{named_extension}"
    images = [scan.image for scan in inventory.scans]
    images += [scan.image for scan in inventory.excluded]
    assert images == [tmp_path / "data" / f"{DWI}.nii.gz"]  # a scan or excluded, never both


def test_six_directions_are_enough(tmp_path: Path) -> None:
    """A diffusion tensor has six components."""
    inventory = find_inventory(
        write_tree(tmp_path / "data", {DWI: Series({0: 1, 1000: 6}, PRISMA)})
    )
    assert [scan.direction_count for scan in inventory.scans] == [6]


def test_bvecs_scaled_by_b_are_a_warning_and_the_scan_is_used(tmp_path: Path) -> None:
    series = Series({0: 1, 500: 6, 1000: 6}, PRISMA)
    scale = np.sqrt(np.array(series.bvals) / 1000)[:, None]
    text = "\n".join(" ".join(map(str, axis)) for axis in (series.bvecs * scale).T)
    inventory = find_inventory(write_tree(tmp_path / "data", {DWI: series, f"{DWI}.bvec": text}))
    (finding,) = inventory.findings
    assert finding.severity == "warning"
    assert "0.7071 to 1" in finding.value
    assert inventory.scans[0].bvals == tuple(series.bvals)


@pytest.mark.parametrize(
    ("name", "is_same"),
    [("sub-01_desc-preproc", True), ("sub-01_space-ACPC_desc-preproc", False)],
)
def test_scans_that_would_be_written_to_one_file_are_an_error(
    name: str, is_same: bool, tmp_path: Path
) -> None:
    """The desc of a scan is no part of the names of its outputs."""
    series = Series(sidecar=PRISMA)
    tree = {DWI: series, f"sub-01/dwi/{name}_dwi": series}
    inventory = find_inventory(write_tree(tmp_path / "data", tree))
    assert len(inventory.scans) == 2
    errors = [finding for finding in inventory.findings if finding.severity == "error"]
    assert [finding.file for finding in errors] == ["sub-01_desc-harmonized_dwi.nii.gz"] * is_same
    assert all(str(scan.image) in errors[0].value for scan in inventory.scans if is_same)
