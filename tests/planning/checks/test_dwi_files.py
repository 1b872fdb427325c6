from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bids_shresnet.planning.plan import merge_findings
from tests.datasets import PRISMA, Series, write_tree
from tests.inventories import B0S, ONE, find, heads


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({ONE: Series(B0S)}, "reverse phase-encoding"),
        ({ONE: Series({0: 3, 2000: 3})}, "only 3 directions"),
        ({ONE: Series({500: 3, 1000: 6})}, "no b=0 image"),
        ({ONE: Series(), f"{ONE}.bvec": "\n".join(["0 " * 7] * 3)}, "trace"),
        ({"sub-01/dwi/sub-01_ADC.nii.gz": np.zeros((2, 2, 2), np.int16)}, "ADC"),
        ({"sub-01/dwi/sub-01_part-phase_dwi": Series()}, "phase part"),
        ({"sub-01/dwi/sub-01_desc-denoised_dwi": Series()}, "desc-denoised"),
        ({"dwi": Series(sidecar=PRISMA)}, "no subject"),
        ({"sub-01/dwi/sub-01_run-1_odd-1_dwi": Series()}, "odd-1"),
        ({"sub-01/dwi/sub-01_run-1a_dwi": Series()}, "run-1a"),
        ({ONE: Series({0: 2}, has_tables=False)}, "2 volumes without b-values"),
    ],
)
def test_what_cannot_be_harmonized_is_left_out_with_its_reason_and_is_no_error(
    tmp_path: Path, tree: dict[str, Any], words: str
) -> None:
    inventory = find(write_tree(tmp_path / "data", tree))
    assert [words in item.reason for item in inventory.excluded] == [True]
    assert inventory.scans == inventory.findings == ()


@pytest.mark.parametrize(
    ("extra", "words", "place"),
    [
        (
            {f"{ONE}.bval": "0 1000 1000 1000 1000 1000 nan"},
            "no finite numbers, in volumes 6",
            "sub-01_dwi.bval",
        ),
        (
            {f"{ONE}.bval": "0 1000 1000 1000 1000 1000 1000 1000"},
            "7 b-vectors for 8 b-values",
            "sub-01_dwi.bvec",
        ),
        ({f"{ONE}.bval": "0 1000"}, "7 b-vectors for 2 b-values", "sub-01_dwi.bvec"),
        (
            {f"{ONE}.bvec": "\n".join(["0 0 1 1 1 1 1"] * 3)},
            "no direction in the volumes 1",
            "sub-01_dwi.bvec",
        ),
        (
            {f"{ONE}.nii.gz": np.zeros((2, 2, 2, 5), np.int16)},
            "5 volumes, but 7 b-values",
            "sub-01_dwi.nii.gz",
        ),
        ({f"{ONE}.nii.gz": "not an image"}, "cannot be read", "sub-01_dwi.nii.gz"),
        ({f"{ONE}.nii.gz": ""}, "empty", "sub-01_dwi.nii.gz"),
        (
            {f"{ONE}.json": {"EchoTime": 1}},
            "ManufacturersModelName and DeviceSerialNumber",
            "sub-01_dwi.nii.gz",
        ),
    ],
)
def test_what_is_wrong_is_an_error_that_names_file_and_value(
    tmp_path: Path, extra: dict[str, Any], words: str, place: str
) -> None:
    inventory = find(write_tree(tmp_path / "data", {ONE: Series(sidecar=PRISMA)} | extra))
    error = next(finding for finding in inventory.findings if words in finding.value)
    assert (error.severity, Path(error.file).name) == ("error", place)
    kept = [*(scan.image for scan in inventory.scans), *(item.image for item in inventory.excluded)]
    assert kept == [
        tmp_path / "data" / f"{ONE}.nii.gz"
    ]  # every image is in one place, whatever is wrong with it


def test_errors_that_many_files_share_are_one_finding(tmp_path: Path) -> None:
    tree = {f"sub-{n:02}/dwi/sub-{n:02}_dwi": Series() for n in range(8)}
    findings = merge_findings(find(write_tree(tmp_path / "data", tree)).findings)
    assert [finding.severity for finding in findings] == ["error", "note"]
    assert all("and 3 more" in finding.file for finding in findings)


def test_bvecs_scaled_by_b_are_a_warning_and_the_scan_is_used(tmp_path: Path) -> None:
    series = Series({0: 1, 500: 6, 1000: 6}, PRISMA)
    scale = np.sqrt(np.array(series.bvals) / 1000)[:, None]
    text = "\n".join(" ".join(map(str, axis)) for axis in (series.bvecs * scale).T)
    inventory = find(write_tree(tmp_path / "data", {ONE: series, f"{ONE}.bvec": text}))
    assert [(f.severity, "0.7071 to 1" in f.value) for f in inventory.findings] == [
        ("warning", True)
    ]
    assert inventory.scans[0].bvals == tuple(series.bvals)


def test_a_named_scanner_with_two_serial_numbers_is_a_warning(tmp_path: Path) -> None:
    root = heads(tmp_path / "data", ["01"])
    write_tree(root, {"participants.tsv": [["participant_id", "scanner"], ["sub-01", "A"]]})
    assert ["66083" in f.value and f.severity == "warning" for f in find(root).findings] == [True]
