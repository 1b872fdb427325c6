from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bids_shresnet.config import InputSettings, ScannerSettings
from bids_shresnet.pairs import Selection
from bids_shresnet.planning.dry_run import render_json, render_text
from bids_shresnet.planning.overview import Overview, make_overview
from bids_shresnet.planning.pairing import form_pairs
from bids_shresnet.planning.requirements import Requirements
from bids_shresnet.planning.selection import select_scans
from tests.datasets import GE, Series, write_tree
from tests.inventories import B0_SHELLS, GE_LABEL, PRISMA_LABEL, find_inventory, write_heads


def find_overview(root: Path) -> Overview:
    inventory = find_inventory(root)
    pairs = form_pairs(inventory, ScannerSettings()).pairs
    requirements = list(map(Requirements.of_pair, pairs))
    selection = select_scans(inventory, requirements, InputSettings(root))
    return make_overview(inventory, pairs, selection, inventory.findings)


def write_four_heads(root: Path) -> Path:
    """Three travelling subjects, and a fourth on GE only with a reverse phase-encoding scan."""
    write_heads(root, ["01", "02", "03"], ge_only=["04"])
    reverse = Series(B0_SHELLS, GE | {"EchoTime": 0.09})
    return write_tree(root, {"sub-04/ses-ge/dwi/sub-04_ses-ge_dir-PA_dwi": reverse})


def scan_name(file: str) -> str:
    return Path(file).name.removesuffix("_dwi.nii.gz")


def test_the_table_shows_every_scanner_scan_role_and_reason(tmp_path: Path) -> None:
    text = render_text(find_overview(write_four_heads(tmp_path / "data")))
    lines = {line.split()[0]: line for line in text.split("\n") if line}
    expected = ["Siemens", "Prisma", "66083", "sidecar", "3", "3"]
    assert lines[PRISMA_LABEL].split()[1:] == expected
    assert "6 x 1000" in lines["sub-01_ses-ge"]
    assert lines["sub-01_ses-ge"].endswith("travelling source; to harmonize")
    target_role = "travelling target; not harmonized: already the target scanner"
    assert lines["sub-01_ses-siemens"].endswith(target_role)
    assert lines["sub-04_ses-ge"].endswith("6 x 1000        to harmonize")
    assert "reverse phase-encoding" in lines["sub-04_ses-ge_dir-PA_dwi.nii.gz"]
    pair_cells = lines[f"from-{GE_LABEL}_to-{PRISMA_LABEL}"].split()
    assert pair_cells[1:] == ["3", "01", "02", "03"]


def roles_by_scan(scans: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    return {scan_name(scan["file"]): scan["roles"] for scan in scans}


def test_the_document_describes_every_dwi(tmp_path: Path) -> None:
    root = write_four_heads(tmp_path / "data")
    series = Series(sidecar=GE | {"EchoTime": 0.08})
    write_tree(root, {"sub-01/ses-ge/dwi/sub-01_ses-ge_dwi": series})
    document = json.loads(render_json(find_overview(root)))
    files = {scan["file"] for scan in document["scans"]}
    assert files == {str(path) for path in root.rglob("*.nii.gz")}
    roles = roles_by_scan(document["scans"])
    assert roles["sub-01_ses-ge"] == ["travelling source", "to harmonize"]
    assert roles["sub-01_ses-siemens"] == ["travelling target"]
    assert roles["sub-04_ses-ge"] == ["to harmonize"]
    assert roles["sub-04_ses-ge_dir-PA"] == []
    shells = {scan_name(scan["file"]): scan["shells"] for scan in document["scans"]}
    assert shells["sub-01_ses-ge"] == [{"directions": 6, "bvalue": 1000}]
    assert shells["sub-04_ses-ge_dir-PA"] == []
    assert document["pairs"][0]["travelling"] == ["01", "02", "03"]
    ge = document["scanners"][1]
    assert (ge["label"], ge["scans"], ge["subjects"]) == (GE_LABEL, 4, 4)
    assert ge["echo_times"] == ["0.08"]


def test_a_scan_that_no_model_is_trained_on_has_the_reason(tmp_path: Path) -> None:
    root = write_heads(tmp_path / "data", ["01", "02", "03"], ge_only=["04"])
    other_scanner = Series(sidecar=GE | {"DeviceSerialNumber": "7"})
    tree = {
        "sub-01/ses-ge/dwi/sub-01_ses-ge_run-2_dwi": Series(sidecar=GE),
        "sub-05/dwi/sub-05_dwi": other_scanner,
    }
    inventory = find_inventory(write_tree(root, tree))
    pairs = form_pairs(inventory, ScannerSettings()).pairs
    scans = make_overview(inventory, pairs, Selection((), ()), ()).scans
    assert {scan_name(scan.file): scan.reason for scan in scans if scan.reason} == {
        "sub-01_ses-ge_run-2": "another scan stands for this subject",
        "sub-04_ses-ge": "the subject was not scanned on the other scanner of the pair",
        "sub-05": "its scanner is in no pair",
    }
