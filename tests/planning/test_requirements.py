from __future__ import annotations

from pathlib import Path

from bids_shresnet.config import ScannerSettings
from bids_shresnet.planning.pairing import form_pairs
from bids_shresnet.planning.requirements import Requirements
from tests.datasets import Series, write_tree
from tests.inventories import find_inventory, write_heads
from tests.models import constant_model

SUBJECTS = ("01", "02", "03")
FITTING = {0: 1, 1000: 7}
OTHER = {0: 1, 1200: 7}


def test_a_model_takes_the_shells_of_its_card_and_no_others(tmp_path: Path) -> None:
    root = write_heads(tmp_path / "data", SUBJECTS)
    model = constant_model(tmp_path / "model", root, target_bvalue=1200.0)
    requirements = Requirements.of_model(model)
    write_tree(
        root, {f"sub-0{n}/dwi/sub-0{n}_dwi": Series(b) for n, b in ((8, FITTING), (9, OTHER))}
    )
    inventory = find_inventory(root, scanner_from="(?P<scanner>sub-0[89])")
    fitting, other = [scan for scan in inventory.scans if scan.subject in ("08", "09")]
    assert requirements.source_mismatch(fitting) == ""
    assert "no shell at b = 1000" in requirements.source_mismatch(other)
    assert requirements.target_mismatch(other) == ""
    assert "no shell at b = 1200" in requirements.target_mismatch(fitting)


def test_a_model_that_will_be_trained_takes_what_its_pair_shares(tmp_path: Path) -> None:
    inventory = find_inventory(write_heads(tmp_path / "data", SUBJECTS))
    (pair,) = form_pairs(inventory, ScannerSettings(target="Prisma")).pairs
    requirements = Requirements.of_pair(pair)
    assert requirements.name == pair.name
    assert not any(map(requirements.source_mismatch, inventory.scanner_scans(pair.source.label)))
