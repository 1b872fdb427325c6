from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bids_shresnet.config import ModelSettings, ScannerSettings
from bids_shresnet.inputs.acquisition import read_acquisition
from bids_shresnet.planning.checks.protocols import Protocol
from bids_shresnet.planning.pairing import form_pairs
from bids_shresnet.planning.preflight import (
    PendingWork,
    image_check_jobs,
    run_preflight,
    skip_finished,
)
from bids_shresnet.planning.requirements import Requirements
from bids_shresnet.runtime.workers import Workers
from tests.datasets import GE, Series, write_tree
from tests.inventories import find_inventory, write_heads


def make_work(root: Path) -> PendingWork:
    """Pending work of three travelling subjects; sub-03 has two scans on GE."""
    write_tree(root, {"sub-03/ses-ge/dwi/sub-03_ses-ge_acq-more_dwi": Series({0: 1, 1000: 9}, GE)})
    inventory = find_inventory(write_heads(root, ["01", "02", "03"]))
    pairs = form_pairs(inventory, ScannerSettings(target="Prisma")).pairs
    scans = inventory.scanner_scans(pairs[0].source.label)
    output = root.parent / "out"
    return PendingWork(pairs, scans, output=output, work_dir=output)


def test_every_scan_that_is_used_is_read_once(tmp_path: Path) -> None:
    jobs = image_check_jobs(make_work(tmp_path / "data"))
    assert len({job.scan.image for job in jobs}) == len(jobs) == 7
    work = make_work(tmp_path / "other")
    targets = tuple(target for _, target in work.pairs[0].travelling_scans)
    assert len(image_check_jobs(PendingWork((), (), tmp_path, tmp_path))) == 0
    only_targets = PendingWork((), (), tmp_path, tmp_path, target_scans=targets)
    assert [job.scan for job in image_check_jobs(only_targets)] == list(targets)


def test_scans_that_an_earlier_run_has_used_are_not_read_again(tmp_path: Path) -> None:
    work = make_work(tmp_path / "data")
    required = [Requirements.of_pair(pair) for pair in work.pairs]
    assert skip_finished(work, required) == work
    write_tree(work.output, {f"models/{work.pairs[0].name}/model.json": {}})
    assert skip_finished(work, required).pairs == ()
    write_tree(work.output, {"sub-01/ses-ge/dwi/sub-01_ses-ge_desc-harmonized_dwi.json": {}})
    assert [scan.subject for scan in skip_finished(work, required).scans] == ["02", "03", "03"]


def test_scans_of_another_protocol_than_the_models_are_warned_about_before_any_work(
    tmp_path: Path,
) -> None:
    scans = make_work(tmp_path / "data").scans
    acquisition = replace(read_acquisition(scans[0]), voxel_size=(9.0, 9.0, 9.0))
    protocol = Protocol("from-A_to-B", scans[0].scanner_label, acquisition, ())
    work = PendingWork((), scans, tmp_path / "out", tmp_path / "out", (protocol,))
    findings = run_preflight(work, ModelSettings(), Workers(1, 1), subjects=["01"])
    (finding,) = [finding for finding in findings if "voxels of" in finding.value]
    assert (finding.severity, finding.file) == ("warning", str(scans[0].image))


def test_scans_of_other_subjects_or_known_to_be_broken_are_not_read(tmp_path: Path) -> None:
    work = make_work(tmp_path / "data")
    assert {job.scan.subject for job in image_check_jobs(work, ("01",))} == {"01"}
    broken = next(scan for scan in work.scans if scan.subject == "02")
    readable = work.drop_unreadable({str(broken.image)})
    assert [scan.subject for scan in readable.scans] == ["01", "03", "03"]
    assert readable.pairs == ()  # the size of its training set is unknown
    assert work.drop_unreadable(frozenset()) == work
