from __future__ import annotations

from pathlib import Path

from bids_shresnet.config import ScannerSettings
from bids_shresnet.errors import Finding
from bids_shresnet.pairs import Selection
from bids_shresnet.planning.demands import demote_findings, find_unused_images
from bids_shresnet.planning.pairing import form_pairs
from tests.inventories import find_inventory, write_heads


def test_scans_that_are_neither_trained_on_nor_harmonized_nor_mapped_are_unused(
    tmp_path: Path,
) -> None:
    root = write_heads(tmp_path / "data", ["01", "02", "03"], ["04"], ["05", "06"])
    inventory = find_inventory(root)
    pairs = form_pairs(inventory, ScannerSettings(target="Prisma")).pairs
    scans = {scan.name: scan for scan in inventory.scans}
    selection = Selection((scans["sub-04_ses-ge"],), (), (scans["sub-05_ses-siemens"],))
    unused = find_unused_images(inventory, pairs, selection)
    assert unused == {str(scans["sub-06_ses-siemens"].image)}


def test_errors_about_unused_images_become_notes() -> None:
    errors = [Finding.error(name, "not here", "Fetch it.") for name in ("used", "unused")]
    warning = Finding.warning("unused", "odd", "Look.")
    used, unused, other = demote_findings([*errors, warning], {"unused"})
    assert (used, other) == (errors[0], warning)
    assert (unused.severity, unused.value) == ("note", "not here")
