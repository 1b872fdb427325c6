from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.pairs import Pair, TravellingSubject
from bids_shresnet.planning.pair_shells import PairShells
from bids_shresnet.scans import Scan, Scanner, Shell
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


def test_a_subject_without_its_record_is_prepared_again(
    job: PrepareJob, travelling_subject: TravellingSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bids_shresnet.training.prepare.match_scans", lambda *_: travelling_subject)
    assert prepare_subject(job)
    (job.folder / "record.json").unlink()
    assert prepare_subject(job)
