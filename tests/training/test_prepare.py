from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.pairs import Pair, TravellingSubject
from bids_shresnet.planning.pair_shells import PairShells
from bids_shresnet.scans import LabelImage, Scan, Scanner, Shell, Tissue
from bids_shresnet.training.prepare import (
    PrepareJob,
    is_prepared,
    prepare_jobs,
    prepare_subject,
    repeat_scan_jobs,
)
from bids_shresnet.training.travelling_subjects import open_travelling_subject
from tests.factories import make_scan
from tests.training.moved_head import SHELLS


def test_a_repeat_has_the_targets_b_values_and_the_pairs_orders() -> None:
    source = make_scan()
    target = make_scan(metadata={"run": 1})
    repeat = make_scan(metadata={"run": 2})
    scanners = (Scanner("GE"), Scanner("Prisma"))
    pair = Pair(*scanners, travelling_scans=((source, target),), repeats=((repeat, target),))
    shells = PairShells(source=(Shell(1000.0, 4),), target=(Shell(1200.0, 2, 12),))
    (job,) = repeat_scan_jobs(pair, shells, Path("work"))
    target_shells = (Shell(1200.0, 4, 12),)
    folder = Path("work/repeats/sub-01")
    assert job == PrepareJob(repeat, target, PairShells(target_shells, target_shells), folder)
    assert repeat_scan_jobs(replace(pair, repeats=()), shells, Path("work")) == ()


@pytest.fixture
def job(source: Scan, moved: Scan, tmp_path: Path) -> PrepareJob:
    """A job with a `.bvec` that can be changed."""
    bvec = Path(shutil.copy(source.bvec, tmp_path / "copy.bvec"))
    scans = (replace(source, bvec=bvec), moved)
    pair = Pair(Scanner("GE"), Scanner("Prisma"), (scans,))
    (job,) = prepare_jobs(pair, SHELLS, tmp_path / "work")
    return job


def test_a_subject_is_prepared_once_and_again_if_one_of_its_files_changes(
    job: PrepareJob,
    travelling_subject: TravellingSubject,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bids_shresnet.training.prepare.match_scans", lambda *_: travelling_subject)
    assert job.folder == tmp_path / "work" / "sub-04"
    assert prepare_subject(job)
    assert not prepare_subject(job)
    matched = open_travelling_subject(job.folder, SHELLS.source).matched
    for name, array in vars(travelling_subject.matched).items():
        np.testing.assert_array_equal(getattr(matched, name), array)
    job.source.bvec.write_text(job.source.bvec.read_text() + "\n")
    assert is_prepared(job)  # a job reads its files only once
    assert not is_prepared(replace(job))
    assert prepare_subject(replace(job))


def test_of_two_jobs_that_prepare_a_subject_at_a_time_one_waits_and_finds_it_done(
    job: PrepareJob, travelling_subject: TravellingSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    matched = []

    def match_slowly(*_: object) -> TravellingSubject:
        matched.append(1)
        time.sleep(0.5)
        return travelling_subject

    monkeypatch.setattr("bids_shresnet.training.prepare.match_scans", match_slowly)
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(prepare_subject, [replace(job), replace(job)])) == [False, True]
    assert len(matched) == 1


def test_a_subject_is_prepared_again_if_its_segmentation_changes(
    job: PrepareJob,
    travelling_subject: TravellingSubject,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bids_shresnet.training.prepare.match_scans", lambda *_: travelling_subject)
    image = tmp_path / "dseg.nii.gz"
    image.write_bytes(b"labels")
    segmented = replace(job.source, segmentation=LabelImage(image, {1: Tissue.GM, 2: Tissue.WM}))
    job = replace(job, source=segmented)
    assert prepare_subject(job)
    assert is_prepared(replace(job))
    other_labels = LabelImage(image, {2: Tissue.GM, 1: Tissue.WM})
    assert not is_prepared(replace(job, source=replace(segmented, segmentation=other_labels)))
    assert not is_prepared(replace(job, source=replace(segmented, segmentation=None)))
    image.write_bytes(b"corrected")
    assert not is_prepared(replace(job))


@pytest.mark.parametrize("scanner", ["source", "target"])
def test_a_subject_is_prepared_again_if_its_shells_or_a_convention_change(
    scanner: str, job: PrepareJob
) -> None:
    scan = getattr(job, scanner)
    other_axes = replace(job, **{scanner: replace(scan, bvec_axes="image")})
    (shell,) = getattr(SHELLS, scanner)
    other_shells = replace(SHELLS, **{scanner: (replace(shell, sh_order=4),)})
    digests = {job.digest, other_axes.digest, replace(job, shells=other_shells).digest}
    assert len(digests) == 3


def test_source_and_target_are_matched_as_such(
    job: PrepareJob, travelling_subject: TravellingSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def match(source: Scan, target: Scan, shells: PairShells) -> TravellingSubject:
        assert (source, target, shells) == (job.source, job.target, job.shells)
        return travelling_subject

    monkeypatch.setattr("bids_shresnet.training.prepare.match_scans", match)
    assert prepare_subject(job)


def test_a_subject_without_its_record_is_prepared_again(
    job: PrepareJob, travelling_subject: TravellingSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bids_shresnet.training.prepare.match_scans", lambda *_: travelling_subject)
    assert prepare_subject(job)
    (job.folder / "record.json").unlink()
    assert prepare_subject(job)
