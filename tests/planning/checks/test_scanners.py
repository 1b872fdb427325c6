from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.errors import InputMissing
from bids_shresnet.pairs import Inventory
from tests.datasets import GE, PRISMA, Series, write_tree
from tests.inventories import GE_LABEL, PRISMA_LABEL, find_inventory, write_heads

PREMIER = GE | {"ManufacturersModelName": "SIGNA Premier"}
SHARED_FIELDS = {"SoftwareVersions": "syngo MR E11", "InstitutionName": "A", "EchoTime": 0.09}


Table = list[list[str]]


def participants(column: str, *cells: str) -> dict[str, Table]:
    """participants.tsv with one more column, for the subjects 01, 02, ..."""
    rows = [[f"sub-0{number}", cell] for number, cell in enumerate(cells, 1)]
    return {"participants.tsv": [["participant_id", column], *rows]}


def find_subjects(
    root: Path,
    sidecars: Sequence[Mapping[str, Any]],
    tables: Mapping[str, Table] | None = None,
    **flags: Any,
) -> Inventory:
    """Write one subject per sidecar (01, 02, ...) and tables by file, and find the scans."""
    tree = {
        f"sub-0{number}/dwi/sub-0{number}_dwi": Series(sidecar=sidecar)
        for number, sidecar in enumerate(sidecars, 1)
    }
    return find_inventory(write_tree(root / "data", {**tree, **(tables or {})}), **flags)


def conflict_texts(inventory: Inventory) -> dict[str, list[str]]:
    """Conflicts by scanner label; they are among the findings."""
    conflicts = inventory.conflicts
    assert set(chain.from_iterable(conflicts.values())) <= set(inventory.findings)
    return {label: [finding.value for finding in findings] for label, findings in conflicts.items()}


def test_a_dataset_without_contradictions_has_no_conflicts(tmp_path: Path) -> None:
    inventory = find_subjects(tmp_path, [PRISMA | SHARED_FIELDS, GE | SHARED_FIELDS])
    assert (inventory.conflicts, inventory.findings) == ({}, ())


def test_one_serial_number_for_two_models_is_a_conflict_of_both(tmp_path: Path) -> None:
    text = "one serial number, 000000UOWMR1, for 2 models: SIGNA EXCITE, SIGNA Premier"
    conflicts = conflict_texts(find_subjects(tmp_path, [GE, PREMIER]))
    assert conflicts == {GE_LABEL: [text], "SIGNAPremier000000UOWMR1": [text]}


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("InstitutionName", ["A", "a ", "B"]),
        ("SoftwareVersions", [["E11", "x"], "E12"]),
        ("EchoTime", [0.09, 0.1]),
    ],
)
def test_a_change_inside_one_scanner_is_a_warning_and_leaves_it_one(
    tmp_path: Path, key: str, values: list[Any]
) -> None:
    inventory = find_subjects(tmp_path, [PRISMA | {key: value} for value in values])
    assert list(inventory.scanners) == [PRISMA_LABEL]
    (finding,) = inventory.conflicts[PRISMA_LABEL]
    assert (finding.severity, finding.value.split()[0]) == ("warning", key)
    assert finding.value.count("(") == 2
    assert (f"--split-by {key}" in finding.remedy) == (key != "InstitutionName")


def test_echo_times_of_other_protocols_or_of_rounding_are_no_conflict(tmp_path: Path) -> None:
    tree = {
        f"sub-0{number}/dwi/sub-0{number}_acq-{protocol}_dwi": Series(
            sidecar=PRISMA | {"EchoTime": time}
        )
        for number, protocol, time in ((1, "a", 0.09), (2, "a", 0.0901), (3, "b", 0.06))
    }
    assert find_inventory(write_tree(tmp_path / "data", tree)).conflicts == {}


def test_split_by_makes_a_scanner_of_each_value(tmp_path: Path) -> None:
    sidecars = [
        PRISMA | {"SoftwareVersions": version, "EchoTime": 0.09}
        for version in ("E11", "E12", "E12")
    ]
    inventory = find_subjects(tmp_path, sidecars, split_by=("SoftwareVersions", "EchoTime"))
    counts = {label: len(inventory.scanner_scans(label)) for label in inventory.scanners}
    assert counts == {"Prisma66083E11009": 1, "Prisma66083E12009": 2}
    assert inventory.findings == ()


def test_values_that_would_become_one_label_are_an_error(tmp_path: Path) -> None:
    sidecars = [PRISMA | {"SoftwareVersions": version} for version in ("1.23", "12.3")]
    (finding,) = find_subjects(tmp_path, sidecars, split_by=("SoftwareVersions",)).findings
    assert finding.severity == "error"
    assert "1.23 (1); 12.3 (1)" in finding.value


def test_a_key_of_split_by_that_a_scan_lacks_is_an_error(tmp_path: Path) -> None:
    sidecars = [PRISMA, PRISMA | {"SoftwareVersions": "E11"}]
    (finding,) = find_subjects(tmp_path, sidecars, split_by=("SoftwareVersions",)).findings
    assert finding.severity == "error"
    assert "SoftwareVersions" in finding.value
    assert "sub-01" in finding.file


def test_a_key_of_split_by_that_all_scans_lack_is_missing_input(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="SoftwareVersion:"):
        find_subjects(tmp_path, [PRISMA], split_by=("SoftwareVersion",))


def test_a_machine_with_two_names_in_the_map_is_a_conflict(tmp_path: Path) -> None:
    (tmp_path / "map.tsv").write_text("scan\tscanner\nsub-01\tA\nsub-02\tB\n")
    inventory = find_subjects(tmp_path, [PRISMA, PRISMA], scanner_map=tmp_path / "map.tsv")
    text = "one machine by its sidecars: Prisma 66083"
    assert conflict_texts(inventory) == {"A": [text], "B": [text]}


def test_a_name_with_two_serial_numbers_is_a_conflict(tmp_path: Path) -> None:
    (tmp_path / "map.tsv").write_text("scan\tscanner\nsub-01\tA\nsub-02\tA\n")
    inventory = find_subjects(tmp_path, [PRISMA, GE], scanner_map=tmp_path / "map.tsv")
    text = "its scans have the serial numbers 000000UOWMR1, 66083"
    assert conflict_texts(inventory) == {"A": [text]}


@pytest.mark.parametrize(
    ("tables", "text"),
    [
        (participants("Vendor", "Philips", "GE"), "Manufacturer Philips"),
        (participants("scanner_model", "GE", "n/a"), "ManufacturersModelName GE"),
        (participants("serial_number", "35343.0", ""), "DeviceSerialNumber 35343.0"),
        (
            {"sub-01/sub-01_scans.tsv": [["filename", "model"], ["dwi/sub-01_dwi.nii.gz", "Trio"]]},
            "ManufacturersModelName Trio",
        ),
    ],
    ids=["vendor", "model", "serial number", "scans.tsv"],
)
def test_a_table_against_the_sidecar_is_a_conflict_and_changes_no_scanner(
    tmp_path: Path, tables: Mapping[str, Table], text: str
) -> None:
    inventory = find_subjects(tmp_path, [PRISMA, GE], tables)
    assert set(inventory.scanners) == {PRISMA_LABEL, GE_LABEL}
    value = f"a table says {text}, the sidecars say Siemens Prisma 66083"
    assert conflict_texts(inventory) == {PRISMA_LABEL: [value]}
    assert inventory.findings[0].severity == "warning"


def test_rows_with_one_contradiction_are_one_finding(tmp_path: Path) -> None:
    tables = participants("manufacturer", "GE", "Siemens", "GE")
    (finding,) = find_subjects(tmp_path, [PRISMA, PRISMA, PRISMA], tables).findings
    assert finding.file == "sub-01, sub-03"


def test_the_row_of_a_subject_may_name_any_of_its_scanners(tmp_path: Path) -> None:
    root = write_heads(tmp_path / "data", both=["01"], prisma_only=["02"])
    write_tree(root, participants("manufacturer", "GE", "Siemens"))
    assert find_inventory(root).findings == ()
    write_tree(root, participants("manufacturer", "Philips", "Siemens"))
    assert set(find_inventory(root).conflicts) == {GE_LABEL, PRISMA_LABEL}


def test_a_table_of_other_images_is_not_compared(tmp_path: Path) -> None:
    table = [["filename", "manufacturer"], ["anat/sub-01_T1w.nii.gz", "GE"]]
    assert find_subjects(tmp_path, [PRISMA], {"sub-01/sub-01_scans.tsv": table}).findings == ()
