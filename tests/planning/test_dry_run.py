from __future__ import annotations

import json
from pathlib import Path

from bids_shresnet.config import InputSettings, ScannerSettings
from bids_shresnet.pairs import Selection
from bids_shresnet.planning.dry_run import render_json, render_text
from bids_shresnet.planning.overview import Overview, make_overview
from bids_shresnet.planning.pairing import form_pairs
from bids_shresnet.planning.selection import select_scans
from tests.datasets import GE, Series, write_tree
from tests.inventories import B0S, find, heads


def found(root: Path) -> Overview:
    inventory = find(root)
    pairs = form_pairs(inventory, ScannerSettings())
    selection = select_scans(
        inventory, [(pair.source.label, pair.target.label) for pair in pairs], InputSettings(root)
    )
    return make_overview(inventory, pairs, selection, inventory.findings)


def test_the_table_shows_every_scanner_scan_role_and_reason(tmp_path: Path) -> None:
    root = heads(tmp_path / "data", ["01", "02", "03"], ge_only=["04"])
    write_tree(root, {"sub-04/ses-ge/dwi/sub-04_ses-ge_dir-PA_dwi": Series(B0S, GE)})
    text = render_text(found(root))
    lines = {line.split()[0]: line for line in text.split("\n") if line}
    assert lines["Prisma66083"].split()[1:] == ["Siemens", "Prisma", "66083", "sidecar", "3", "3"]
    assert "6 x 1000" in lines["sub-01_ses-ge"]
    assert lines["sub-01_ses-ge"].endswith("travelling source; to harmonize")
    assert lines["sub-01_ses-siemens"].endswith(
        "travelling target; not harmonized: already the target scanner"
    )
    assert lines["sub-04_ses-ge"].endswith("6 x 1000        to harmonize")
    assert "reverse phase-encoding" in lines["sub-04_ses-ge_dir-PA_dwi.nii.gz"]
    assert lines["from-SIGNAEXCITE000000UOWMR1_to-Prisma66083"].split()[1:] == [
        "3",
        "01",
        "02",
        "03",
    ]


def test_the_document_says_the_same_of_every_dwi(tmp_path: Path) -> None:
    root = heads(tmp_path / "data", ["01", "02", "03"], ge_only=["04"])
    write_tree(
        root, {"sub-04/ses-ge/dwi/sub-04_ses-ge_dir-PA_dwi": Series(B0S, GE | {"EchoTime": 0.09})}
    )
    write_tree(
        root, {"sub-01/ses-ge/dwi/sub-01_ses-ge_dwi": Series(sidecar=GE | {"EchoTime": 0.08})}
    )
    said = json.loads(render_json(found(root)))
    assert {scan["file"] for scan in said["scans"]} == {
        str(path) for path in root.rglob("*.nii.gz")
    }
    roles = {
        Path(scan["file"]).name.removesuffix("_dwi.nii.gz"): scan["roles"] for scan in said["scans"]
    }
    assert roles["sub-01_ses-ge"] == ["travelling source", "to harmonize"]
    assert roles["sub-01_ses-siemens"] == ["travelling target"]
    assert (roles["sub-04_ses-ge"], roles["sub-04_ses-ge_dir-PA"]) == (["to harmonize"], [])
    assert said["pairs"][0]["travelling"] == ["01", "02", "03"]
    ge = said["scanners"][1]
    assert (ge["label"], ge["scans"], ge["subjects"]) == ("SIGNAEXCITE000000UOWMR1", 4, 4)
    assert ge["echo_times"] == ["0.08"]


def test_a_scan_that_no_model_learns_from_has_the_reason(tmp_path: Path) -> None:
    root = heads(tmp_path / "data", ["01", "02", "03"], ge_only=["04"])
    write_tree(root, {"sub-01/ses-ge/dwi/sub-01_ses-ge_run-2_dwi": Series(sidecar=GE)})
    write_tree(root, {"sub-05/dwi/sub-05_dwi": Series(sidecar=GE | {"DeviceSerialNumber": "7"})})
    inventory = find(root)
    scans = make_overview(
        inventory, form_pairs(inventory, ScannerSettings()), Selection((), ()), ()
    ).scans
    unused = {
        Path(scan.file).name.removesuffix("_dwi.nii.gz"): scan.reason
        for scan in scans
        if scan.reason
    }
    assert unused == {
        "sub-01_ses-ge_run-2": "another scan stands for this subject",
        "sub-04_ses-ge": "the subject was not scanned on the other scanner of the pair",
        "sub-05": "its scanner is in no pair",
    }
