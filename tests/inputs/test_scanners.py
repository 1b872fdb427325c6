from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_shresnet.errors import Finding, InputMissing, UsageError
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.inputs.scanners import (
    ScannerNaming,
    identify_scanner,
    normalize_model,
    normalize_serial,
    read_scanner_naming,
    sanitize_label,
)
from bids_shresnet.scans import Scanner
from tests.datasets import ELITION, GE, PRISMA, write_tree


def dwi(name: str = "sub-01_ses-ge_acq-x_dwi", **metadata: Any) -> DwiFile:
    pairs = dict(pair.split("-") for pair in name.split("_")[:-1])
    long = {"sub": "subject", "ses": "session", "acq": "acquisition"}
    entities = {long[key]: value for key, value in pairs.items()}
    return DwiFile(Path(f"/data/{name}.nii.gz"), Path("/data"), "dwi", entities, metadata)


def label(file: DwiFile, naming: ScannerNaming = ScannerNaming()) -> str:  # noqa: B008 - frozen
    scanner = identify_scanner(file, naming)
    assert isinstance(scanner, Scanner), scanner
    return scanner.label


@pytest.mark.parametrize(
    ("sidecar", "expected"),
    [(PRISMA, "Prisma66083"), (GE, "SIGNAEXCITE000000UOWMR1"), (ELITION, "IngeniaElitionX45053")],
)
def test_a_label_is_model_and_serial_number(sidecar: dict[str, Any], expected: str) -> None:
    assert label(dwi(**sidecar)) == expected


@pytest.mark.parametrize(
    "spellings",
    [
        ("DISCOVERY MR750", "DISCOVERY_MR750", "MR750"),
        ("Prisma_fit", "MAGNETOM Prisma Fit", "Prisma Fit", "MAGNETOM_Prisma_fit"),
        ("Avanto", "Avanto ", " Avanto"),
    ],
)
def test_spellings_of_one_model_are_one(spellings: tuple[str, ...]) -> None:
    assert len({normalize_model(spelling) for spelling in spellings}) == 1


def test_models_that_differ_stay_apart() -> None:
    models = (
        "Prisma",
        "Prisma_fit",
        "Skyra",
        "SIGNA Premier",
        "DISCOVERY MR750",
        "DISCOVERY MR750w",
        "Achieva dStream",
    )
    assert len({sanitize_label(normalize_model(model)) for model in models}) == len(models)


def test_two_machines_with_one_serial_number_stay_two() -> None:
    serial = "00000000269MRS04"
    models = ("DISCOVERY MR750", "SIGNA Premier")
    assert (
        len({label(dwi(ManufacturersModelName=m, DeviceSerialNumber=serial)) for m in models}) == 2
    )


@given(st.lists(st.text(max_size=8), min_size=2, max_size=4))
def test_institution_station_and_software_do_not_name_the_machine(texts: list[str]) -> None:
    keys = ("InstitutionName", "StationName", "SoftwareVersions")
    assert {label(dwi(**PRISMA, **dict.fromkeys(keys, text))) for text in texts} == {"Prisma66083"}


@given(st.integers(1, 10**9))
def test_a_serial_number_is_the_same_as_text_number_or_decimal(serial: int) -> None:
    assert {normalize_serial(s) for s in (serial, float(serial), f"{serial}", f" {serial}.0 ")} == {
        str(serial)
    }


@pytest.mark.parametrize(
    "serial",
    [
        None,
        "",
        " ",
        0,
        True,
        [],
        "Anonymized",
        "anonymous",
        "n/a",
        "000000000000GEHC",
        "0000000000orange",
    ],
)
def test_an_anonymized_serial_number_names_no_machine(serial: object) -> None:
    assert normalize_serial(serial) == ""
    assert isinstance(
        identify_scanner(dwi(**PRISMA | {"DeviceSerialNumber": serial}), ScannerNaming()), Finding
    )


def test_the_misspelt_model_key_is_understood() -> None:
    assert label(dwi(ManufacturerModelName="Prisma", DeviceSerialNumber="66083")) == "Prisma66083"


@pytest.mark.parametrize("missing", ["ManufacturersModelName", "DeviceSerialNumber"])
def test_a_missing_field_is_named_with_every_remedy(missing: str) -> None:
    metadata = {key: value for key, value in PRISMA.items() if key != missing}
    finding = identify_scanner(dwi(**metadata), ScannerNaming())
    assert isinstance(finding, Finding)
    assert re.findall("[A-Z][a-z]+[A-Z]\\w+", finding.value) == [missing]
    assert all(
        flag in finding.remedy for flag in ("--scanner-map", "--scanner-column", "--scanner-from")
    )


def test_the_first_that_answers_names_the_scanner() -> None:
    file = dwi(**PRISMA)
    everything = ScannerNaming(
        {"sub-01": {"M 1"}}, {"sub-01": {"C-1"}}, re.compile("ses-(?P<scanner>[a-z]+)")
    )
    without_map = ScannerNaming({"sub-02": {"M1"}}, everything.table_scanners, everything.pattern)
    without_table = ScannerNaming({}, {}, everything.pattern)
    assert [label(file, naming) for naming in (everything, without_map, without_table)] == [
        "M1",
        "C1",
        "Prisma66083",
    ]
    assert label(dwi(), without_table) == "ge"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["sub-01", "sub-01_ses-ge"], "sub-01_ses-ge"),
        (["ses-ge", "sub-01_ses-ge_acq-x_dwi.nii.gz"], "sub-01_ses-ge_acq-x_dwi.nii.gz"),
        (["ses-ge", "sub-01_ses-ge_dwi.nii.gz"], "ses-ge"),  # a file name is for that file only
        (["ses-g", "sub-01_acq-x"], "sub-01_acq-x"),
    ],
)
def test_the_most_specific_line_of_a_map_wins(keys: list[str], expected: str) -> None:
    assert label(dwi(), ScannerNaming({key: {f"at{key}"} for key in keys})) == sanitize_label(
        f"at{expected}"
    )


def test_lines_that_contradict_each_other_name_nothing() -> None:
    finding = identify_scanner(dwi(**PRISMA), ScannerNaming({"sub-01": {"A"}, "ses-ge": {"B"}}))
    assert isinstance(finding, Finding)
    assert "A, B" in finding.value


def test_names_that_would_become_one_label_are_an_error(tmp_path: Path) -> None:
    root = write_tree(
        tmp_path,
        {"map.tsv": [["scan", "scanner"], ["ses-a", "GE 1"], ["ses-b", "GE-1"], ["ses-c", "GE2"]]},
    )
    naming = read_scanner_naming(root, root / "map.tsv", "scanner", None)
    assert ["GE 1, GE-1" in finding.value for finding in naming.findings] == [True]


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
