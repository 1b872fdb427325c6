from __future__ import annotations

from pathlib import Path

import pytest

from bids_shresnet.errors import InputMissing, UsageError
from bids_shresnet.pairs import Inventory
from tests.datasets import GE, PRISMA, Series, write_tree
from tests.inventories import find_inventory

OTHER_PRISMA = PRISMA | {"DeviceSerialNumber": "166", "StationName": "AWP166"}
SERIALS = ("66083", "UOWMR1", "166")


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    sidecars = {"a": GE, "b": PRISMA | {"StationName": "AWP66083"}, "c": OTHER_PRISMA}
    tree: dict[str, object] = {}
    for name, sidecar in sidecars.items():
        tree[f"sub-0{name}/dwi/sub-0{name}_dwi"] = Series(sidecar=sidecar | {"EchoTime": 0.1})
    return write_tree(tmp_path / "data", tree)


def labels(inventory: Inventory) -> dict[str, str]:
    """Label of the scanner of each subject."""
    return {scan.subject: scan.scanner_label for scan in inventory.scans}


def test_an_alias_renames_the_scanner_that_a_part_of_its_label_names(bids: Path) -> None:
    before = labels(find_inventory(bids))
    inventory = find_inventory(bids, alias=("66083=B", "signa=G"))
    assert labels(inventory) == {"0a": "G", "0b": "B", "0c": before["0c"]}
    assert [scan.metadata for scan in inventory.scans] == [
        scan.metadata for scan in find_inventory(bids).scans
    ]


def test_anonymous_scanners_have_letters_in_the_order_of_their_serial_numbers(bids: Path) -> None:
    inventory = find_inventory(bids, anonymize_scanners=True)
    assert labels(inventory) == {"0a": "SIGNAEXCITEA", "0b": "PrismaB", "0c": "PrismaA"}
    named = find_inventory(bids, anonymize_scanners=True, alias=("Prisma66083=X",))
    assert labels(named) == {"0a": "SIGNAEXCITEA", "0b": "X", "0c": "PrismaA"}


@pytest.mark.parametrize(
    ("alias", "table"),
    [
        (("Prisma166=PrismaA",), [["participant_id"], ["sub-0c"]]),
        ((), [["participant_id", "scanner"], ["sub-0c", "PrismaA"]]),
    ],
    ids=["alias", "table"],
)
def test_no_letter_makes_two_scanners_one(
    bids: Path, alias: tuple[str, ...], table: list[list[str]]
) -> None:
    write_tree(bids, {"participants.tsv": table})
    inventory = find_inventory(bids, anonymize_scanners=True, alias=alias)
    assert labels(inventory) == {"0a": "SIGNAEXCITEA", "0b": "PrismaB", "0c": "PrismaA"}


def test_no_serial_number_is_left_anywhere(bids: Path) -> None:
    inventory = find_inventory(bids, anonymize_scanners=True)
    scans = [(scan.scanner, scan.metadata) for scan in inventory.scans]
    text = f"{scans} {inventory.findings} {inventory.conflicts}"
    assert not any(serial in text for serial in SERIALS)
    assert "AWP" not in text
    assert all("EchoTime" in metadata for _, metadata in scans)


@pytest.mark.parametrize(
    ("alias", "error", "message"),
    [
        (("Skyra=B",), InputMissing, "--alias Skyra: no such scanner"),
        (("Prisma=B",), UsageError, "--alias Prisma names several scanners"),
        (("signa=Prisma66083",), UsageError, "label of another scanner"),
    ],
)
def test_an_alias_for_none_or_several_or_of_another_scanner_is_refused(
    alias: tuple[str, ...], error: type[Exception], message: str, bids: Path
) -> None:
    with pytest.raises(error, match=message):
        find_inventory(bids, alias=alias)


def test_labels_can_be_swapped(bids: Path) -> None:
    before = labels(find_inventory(bids))
    swapped = find_inventory(bids, alias=(f"66083={before['0c']}", f"166={before['0b']}"))
    assert labels(swapped) == before | {"0b": before["0c"], "0c": before["0b"]}


def test_letters_are_refused_where_they_would_have_to_match_those_of_another_run(
    bids: Path,
) -> None:
    flags = {"is_identity_required": False, "anonymize_scanners": True}
    with pytest.raises(UsageError, match="--alias"):
        find_inventory(bids, **flags)
    aliases = ("66083=B", "166=C", "signa=G")
    assert set(labels(find_inventory(bids, alias=aliases, **flags)).values()) == set("BCG")
