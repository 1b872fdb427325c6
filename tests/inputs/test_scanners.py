from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_shresnet.errors import Finding, InputMissing, UsageError
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.inputs.scanner_labels import sanitize_label
from bids_shresnet.inputs.scanners import ScannerNaming, identify_scanner, read_scanner_naming
from bids_shresnet.scans import Scanner
from tests.datasets import ELITION, GE, PRISMA, write_tree

NO_NAMING = ScannerNaming()


def make_file(**metadata: Any) -> DwiFile:
    return DwiFile(
        image=Path("/data/sub-01_ses-ge_acq-x_dwi.nii.gz"),
        dataset=Path("/data"),
        suffix="dwi",
        entities={"subject": "01", "session": "ge", "acquisition": "x"},
        metadata=metadata,
    )


def scanner_label(file: DwiFile, naming: ScannerNaming = NO_NAMING) -> str:
    scanner = identify_scanner(file, naming)
    assert isinstance(scanner, Scanner), scanner
    return scanner.label


@pytest.mark.parametrize(
    ("sidecar", "expected"),
    [(PRISMA, "Prisma66083"), (GE, "SIGNAEXCITE000000UOWMR1"), (ELITION, "IngeniaElitionX45053")],
)
def test_a_label_is_model_and_serial_number(sidecar: dict[str, Any], expected: str) -> None:
    assert scanner_label(make_file(**sidecar)) == expected


def test_two_machines_with_one_serial_number_stay_two() -> None:
    serial = "00000000269MRS04"
    labels = {
        scanner_label(make_file(ManufacturersModelName=model, DeviceSerialNumber=serial))
        for model in ("DISCOVERY MR750", "SIGNA Premier")
    }
    assert len(labels) == 2


@pytest.mark.parametrize(
    ("serial", "institution", "is_known"),
    [
        ("000000000000CAMH", "CAMH", True),
        ("000000000000ZHH", "Zucker Hillside Hospital", True),
        ("000000000000GEHC", "GE Healthcare", False),
        ("0000000000orange", "Hospital", False),
        ("Anonymized", "Anonymized", False),
    ],
)
def test_a_number_of_zeros_and_letters_counts_if_it_is_the_hospitals_own(
    serial: str, institution: str, *, is_known: bool
) -> None:
    fields = {"DeviceSerialNumber": serial, "InstitutionName": institution}
    scanner = identify_scanner(make_file(ManufacturersModelName="MR750", **fields), NO_NAMING)
    assert isinstance(scanner, Scanner) == is_known


@pytest.mark.slow
@given(st.lists(st.text(max_size=8), min_size=2, max_size=4))
def test_institution_station_and_software_do_not_name_the_scanner(texts: list[str]) -> None:
    for text in texts:
        fields = dict.fromkeys(("InstitutionName", "StationName", "SoftwareVersions"), text)
        assert scanner_label(make_file(**PRISMA, **fields)) == "Prisma66083"


@pytest.mark.parametrize("serial", [None, 0, "Anonymized"])
def test_an_anonymized_serial_number_names_no_scanner(serial: object) -> None:
    file = make_file(**PRISMA | {"DeviceSerialNumber": serial})
    assert isinstance(identify_scanner(file, NO_NAMING), Finding)


def test_the_misspelt_model_key_is_understood() -> None:
    file = make_file(ManufacturerModelName="Prisma", DeviceSerialNumber="66083")
    assert scanner_label(file) == "Prisma66083"


@pytest.mark.parametrize("missing", ["ManufacturersModelName", "DeviceSerialNumber"])
def test_a_missing_field_is_named_with_every_remedy(missing: str) -> None:
    metadata = {key: value for key, value in PRISMA.items() if key != missing}
    finding = identify_scanner(make_file(**metadata), NO_NAMING)
    assert isinstance(finding, Finding)
    assert re.findall("[A-Z][a-z]+[A-Z]\\w+", finding.value) == [missing]
    for flag in ("--scanner-map", "--scanner-column", "--scanner-from"):
        assert flag in finding.remedy


def test_map_table_sidecar_and_file_name_count_in_this_order() -> None:
    table = {"sub-01": {"C-1"}}
    pattern = re.compile("ses-(?P<scanner>[a-z]+)")
    file = make_file(**PRISMA)
    assert scanner_label(file, ScannerNaming({"sub-01": {"M 1"}}, table, pattern)) == "M1"
    assert scanner_label(file, ScannerNaming({"sub-02": {"M1"}}, table, pattern)) == "C1"
    assert scanner_label(file, ScannerNaming(pattern=pattern)) == "Prisma66083"
    assert scanner_label(make_file(), ScannerNaming(pattern=pattern)) == "ge"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["sub-01", "sub-01_ses-ge"], "sub-01_ses-ge"),
        (["ses-ge", "sub-01_ses-ge_acq-x_dwi.nii.gz"], "sub-01_ses-ge_acq-x_dwi.nii.gz"),
        (["ses-ge", "sub-01_ses-ge_dwi.nii.gz"], "ses-ge"),  # a file name is for that file only
        (["ses-g", "sub-01_acq-x"], "sub-01_acq-x"),
    ],
)
def test_the_most_specific_line_of_a_map_counts(names: list[str], expected: str) -> None:
    naming = ScannerNaming({name: {f"at{name}"} for name in names})
    assert scanner_label(make_file(), naming) == sanitize_label(f"at{expected}")


def test_lines_that_contradict_each_other_are_a_finding() -> None:
    naming = ScannerNaming({"sub-01": {"A"}, "ses-ge": {"B"}})
    finding = identify_scanner(make_file(**PRISMA), naming)
    assert isinstance(finding, Finding)
    assert "A, B" in finding.value


def test_names_that_would_become_one_label_are_an_error(tmp_path: Path) -> None:
    rows = [["scan", "scanner"], ["ses-a", "GE 1"], ["ses-b", "GE-1"], ["ses-c", "GE2"]]
    root = write_tree(tmp_path, {"map.tsv": rows})
    (finding,) = read_scanner_naming(root, root / "map.tsv", "scanner", None).findings
    assert "GE 1, GE-1" in finding.value


def test_a_map_without_its_columns_is_an_error(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {"map.csv": "scan,scanner\nses-a,GE1\n"})
    (finding,) = read_scanner_naming(root, root / "map.csv", "scanner", None).findings
    assert "tab-separated" in finding.remedy


def test_a_map_that_does_not_exist_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="--scanner-map"):
        read_scanner_naming(tmp_path, tmp_path / "none.tsv", "scanner", None)


@pytest.mark.parametrize("pattern", ["ses-(", "ses-([a-z]+)"])
def test_an_unusable_regular_expression_is_a_usage_error(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(UsageError, match="--scanner-from"):
        read_scanner_naming(tmp_path, None, "scanner", pattern)
