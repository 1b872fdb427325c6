from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bids_shresnet.inputs.scanner_statements import (
    ScannerStatement,
    find_scanner_statements,
    find_vendors,
)
from tests.datasets import GE, PRISMA

MODEL, SERIAL, VENDOR = "ManufacturersModelName", "DeviceSerialNumber", "Manufacturer"
PRISMA_FIT = PRISMA | {MODEL: "Prisma_fit"}


def contradicts(key: str, value: str, sidecar: Mapping[str, Any]) -> bool:
    return ScannerStatement("sub-01", key, value).contradicts(sidecar)


@pytest.mark.parametrize(
    ("key", "value", "sidecar"),
    [
        (VENDOR, "SIEMENS Healthineers", PRISMA),
        (VENDOR, "ge", GE | {VENDOR: "GE MEDICAL SYSTEMS"}),
        (VENDOR, "3T", PRISMA),
        (VENDOR, "GE", {MODEL: "Prisma"}),
        (MODEL, "Siemens MAGNETOM Prisma", PRISMA),
        (MODEL, "prisma", PRISMA_FIT),
        (MODEL, "GE", GE),
        (MODEL, "Prisma", {}),
        (SERIAL, "66083.0", PRISMA),
        (SERIAL, "Anonymized", PRISMA),
        (SERIAL, "1", {VENDOR: "GE"}),
    ],
)
def test_another_spelling_or_less_detail_is_no_contradiction(
    key: str, value: str, sidecar: Mapping[str, Any]
) -> None:
    assert not contradicts(key, value, sidecar)


@pytest.mark.parametrize(
    ("key", "value", "sidecar"),
    [
        (VENDOR, "Toshiba", PRISMA),
        (VENDOR, "General Electric", PRISMA),
        (MODEL, "GE", PRISMA),
        (MODEL, "GE_MR750", PRISMA),
        (MODEL, "Siemens Trio", PRISMA),
        (MODEL, "SIGNA Premier", GE),
        (SERIAL, "35343", PRISMA),
    ],
)
def test_another_vendor_model_or_number_is_a_contradiction(
    key: str, value: str, sidecar: Mapping[str, Any]
) -> None:
    assert contradicts(key, value, sidecar)


@pytest.mark.parametrize(
    ("text", "vendors"),
    [
        ("GE", {"GE"}),
        ("gelatin phantom", set()),
        ("Canon (formerly Toshiba)", {"Canon"}),
        ("Siemens or Philips", {"Siemens", "Philips"}),
        ("UIH uMR 790", {"United Imaging"}),
    ],
)
def test_a_vendor_is_found_as_a_word_of_its_own(text: str, vendors: set[str]) -> None:
    assert find_vendors(text) == vendors


def test_columns_are_found_in_any_spelling_and_others_are_left_out() -> None:
    rows = [("sub-01", {"Serial Number": "66083", "scanner_model": "Prisma", "scanner": "S1"})]
    assert find_scanner_statements(rows) == [
        ScannerStatement("sub-01", SERIAL, "66083"),
        ScannerStatement("sub-01", MODEL, "Prisma"),
    ]


@pytest.mark.parametrize(
    ("row", "is_about"),
    [
        ("sub-01", True),
        ("sub-01_ses-a", True),
        ("sub-01_ses-a_dwi.nii.gz", True),
        ("sub-01_ses-b", False),
        ("sub-0", False),
        ("sub-01_ses-a_T1w.nii.gz", False),
    ],
)
def test_a_row_is_about_the_files_with_its_entities(row: str, is_about: bool) -> None:
    statement = ScannerStatement(row, VENDOR, "GE")
    assert statement.is_about("sub-01_ses-a_space-T1w_dwi.nii.gz") is is_about
