from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.errors import InputMissing
from bids_shresnet.pairs import Inventory
from tests.datasets import GE, PRISMA, Series, write_tree
from tests.inventories import find

PREMIER = GE | {"ManufacturersModelName": "SIGNA Premier"}
SHARK = {"SoftwareVersions": "syngo MR E11", "InstitutionName": "A", "EchoTime": 0.09}


def found(root: Path, sidecars: list[dict[str, Any]], **flags: Any) -> Inventory:
    """Inventory of one subject a sidecar, 01, 02, ..."""
    tree = {
        f"sub-0{n}/dwi/sub-0{n}_dwi": Series(sidecar=sidecar)
        for n, sidecar in enumerate(sidecars, 1)
    }
    return find(write_tree(root / "data", tree), **flags)


def conflicts(inventory: Inventory) -> dict[str, list[str]]:
    assert {finding for some in inventory.conflicts.values() for finding in some} <= set(
        inventory.findings
    )
    return {
        label: [finding.value for finding in some] for label, some in inventory.conflicts.items()
    }


def test_a_dataset_without_contradictions_has_no_conflicts(tmp_path: Path) -> None:
    inventory = found(tmp_path, [PRISMA | SHARK, GE | SHARK])
    assert (inventory.conflicts, inventory.findings) == ({}, ())


def test_one_serial_number_for_two_models_is_a_conflict_of_both(tmp_path: Path) -> None:
    said = conflicts(found(tmp_path, [GE, PREMIER]))
    assert set(said) == {"SIGNAEXCITE000000UOWMR1", "SIGNAPremier000000UOWMR1"}
    assert all(
        values == ["one serial number, 000000UOWMR1, for 2 models: SIGNA EXCITE, SIGNA Premier"]
        for values in said.values()
    )


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("InstitutionName", ["A", "a ", "B"]),
        ("SoftwareVersions", [["E11", "x"], "E12"]),
        ("EchoTime", [0.09, 0.1]),
    ],
)
def test_a_change_inside_one_scanner_is_warned_of_and_leaves_it_one(
    tmp_path: Path, key: str, values: list[Any]
) -> None:
    inventory = found(tmp_path, [PRISMA | {key: value} for value in values])
    assert list(inventory.scanners) == ["Prisma66083"]
    (finding,) = inventory.conflicts["Prisma66083"]
    assert (finding.severity, finding.value.split()[0]) == ("warning", key)
    assert finding.value.count("(") == 2
    assert f"--split-by {key}" in finding.remedy


def test_split_by_makes_a_scanner_of_each_value(tmp_path: Path) -> None:
    sidecars = [
        PRISMA | {"SoftwareVersions": version, "EchoTime": 0.09}
        for version in ("E11", "E12", "E12")
    ]
    inventory = found(tmp_path, sidecars, split_by=("SoftwareVersions", "EchoTime"))
    assert {label: len(inventory.scanner_scans(label)) for label in inventory.scanners} == {
        "Prisma66083E11009": 1,
        "Prisma66083E12009": 2,
    }
    assert inventory.findings == ()


def test_values_that_would_become_one_label_are_an_error(tmp_path: Path) -> None:
    sidecars = [PRISMA | {"SoftwareVersions": version} for version in ("1.23", "12.3")]
    (finding,) = found(tmp_path, sidecars, split_by=("SoftwareVersions",)).findings
    assert finding.severity == "error"
    assert "1.23 (1); 12.3 (1)" in finding.value


def test_a_key_that_a_scan_lacks_is_an_error_and_one_that_all_lack_missing_input(
    tmp_path: Path,
) -> None:
    sidecars = [PRISMA, PRISMA | {"SoftwareVersions": "E11"}]
    inventory = found(tmp_path, sidecars, split_by=("SoftwareVersions",))
    assert [
        (f.severity, "SoftwareVersions" in f.value, "sub-01" in f.file) for f in inventory.findings
    ] == [("error", True, True)]
    with pytest.raises(InputMissing, match="SoftwareVersion:"):
        find(tmp_path / "data", split_by=("SoftwareVersion",))


def test_a_machine_that_the_map_names_twice_is_a_conflict(tmp_path: Path) -> None:
    lines = [["scan", "scanner"], ["sub-01", "A"], ["sub-02", "B"]]
    (tmp_path / "map.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
    said = conflicts(found(tmp_path, [PRISMA, PRISMA], scanner_map=tmp_path / "map.tsv"))
    assert said == {
        "A": ["one machine by its sidecars: Prisma 66083"],
        "B": ["one machine by its sidecars: Prisma 66083"],
    }
