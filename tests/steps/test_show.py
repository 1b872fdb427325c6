from __future__ import annotations

from pathlib import Path

from bids_shresnet.steps.pair import form_pairs, select
from bids_shresnet.steps.show import table
from tests.datasets import GE, Series, write_tree
from tests.steps.inventories import B0S, config, find, heads


def test_the_table_shows_every_scanner_scan_role_and_reason(tmp_path: Path) -> None:
    root = heads(tmp_path / "data", ["01", "02", "03"], ge_only=["04"])
    write_tree(root, {"sub-04/ses-ge/dwi/sub-04_ses-ge_dir-PA_dwi": Series(B0S, GE)})
    inventory = find(root)
    pairs = form_pairs(inventory, None)
    sources = {pair.source.label: pair.target.label for pair in pairs}
    text = table(inventory, pairs, select(inventory, sources, config(root)))
    lines = {line.split()[0]: line for line in text.split("\n") if line}
    assert lines["Prisma66083"].split()[1:] == ["Siemens", "Prisma", "66083", "sidecar", "3", "3"]
    assert "6 x 1000" in lines["sub-01_ses-ge"]
    assert lines["sub-01_ses-ge"].endswith("travelling source; to harmonize")
    assert lines["sub-01_ses-siemens"].endswith("travelling target; not harmonized: already the target scanner")
    assert lines["sub-04_ses-ge"].endswith("6 x 1000        to harmonize")
    assert "reverse phase-encoding" in lines["sub-04_ses-ge_dir-PA_dwi.nii.gz"]
    assert lines["from-SIGNAEXCITE000000UOWMR1_to-Prisma66083"].split()[1:] == ["3", "01", "02", "03"]
