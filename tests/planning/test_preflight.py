from __future__ import annotations

from pathlib import Path

from bids_shresnet.config import ScannerSettings
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.pairing import form_pairs
from bids_shresnet.planning.preflight import PendingWork, image_check_jobs, skip_finished
from tests.datasets import GE, Series, write_tree
from tests.inventories import find, heads


def ahead(root: Path) -> PendingWork:
    write_tree(root, {"sub-03/ses-ge/dwi/sub-03_ses-ge_acq-more_dwi": Series({0: 1, 1000: 9}, GE)})
    inventory = find(heads(root, ["01", "02", "03"]))
    pairs: tuple[Pair, ...] = form_pairs(inventory, ScannerSettings(target="Prisma"))
    return PendingWork(
        pairs,
        inventory.scanner_scans(pairs[0].source.label),
        root.parent / "out",
        root.parent / "out",
    )


def test_every_scan_that_is_used_is_read_once_and_the_one_with_most_directions_for_its_fibres(
    tmp_path: Path,
) -> None:
    jobs = image_check_jobs(ahead(tmp_path / "data"))
    assert len({job.scan.image for job in jobs}) == len(jobs) == 7
    assert {job.scan.name for job in jobs if job.should_check_bvecs} == {
        "sub-03_ses-ge_acq-more",
        "sub-01_ses-siemens",
    }


def test_what_an_earlier_run_has_used_is_not_read_again(tmp_path: Path) -> None:
    whole = ahead(tmp_path / "data")
    assert skip_finished(whole) == whole
    write_tree(whole.output, {f"models/{whole.pairs[0].name}/model.json": {}})
    assert skip_finished(whole).pairs == ()
    write_tree(whole.output, {"sub-01/ses-ge/dwi/sub-01_ses-ge_desc-harmonized_dwi.json": {}})
    assert [scan.subject for scan in skip_finished(whole).scans] == ["02", "03", "03"]


def test_scans_of_other_subjects_or_known_to_be_broken_are_not_read(tmp_path: Path) -> None:
    whole = ahead(tmp_path / "data")
    assert {job.scan.subject for job in image_check_jobs(whole, ("01",))} == {"01"}
    broken = next(scan for scan in whole.scans if scan.subject == "02")
    left = whole.drop_unreadable({str(broken.image)})
    assert [scan.subject for scan in left.scans] == ["01", "03", "03"]
    assert left.pairs == ()  # its size cannot be told
    assert whole.drop_unreadable(()) == whole
