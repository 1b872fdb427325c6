from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.pairs import Pair, RegistrationQuality, TravellingSubject
from bids_shresnet.planning.pair_shells import PairShells
from bids_shresnet.scans import Scan
from bids_shresnet.training.exclusions import (
    failure_reason,
    find_bad_heads,
    quality_rows,
    try_to_prepare_subject,
)
from bids_shresnet.training.prepare import PrepareJob, is_prepared, prepare_jobs
from tests.methods.heads import SHELLS, head, travelling

GOOD = RegistrationQuality(0.9, 0.95, 0.95)
MATCH = "bids_shresnet.training.prepare.match_scans"


@pytest.fixture
def prepare(pair: Pair, tmp_path: Path) -> tuple[PrepareJob, ...]:
    """Jobs of three subjects that are not prepared."""
    return prepare_jobs(pair, PairShells(SHELLS, SHELLS), tmp_path / "work")


def fail_on(subject: str, error: Exception, quality: RegistrationQuality = GOOD) -> object:
    """Return a registration that fails on one subject."""

    def match(source: Scan, *_: object) -> TravellingSubject:
        if source.subject == subject:
            raise error
        return replace(travelling(head(1, (7, 7, 7)), 7), quality=quality)

    return match


def test_a_subject_that_fails_has_a_reason_and_the_others_are_prepared(
    prepare: tuple[PrepareJob, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = RuntimeError("Registration failed with error code 1")
    monkeypatch.setattr(MATCH, fail_on("02", error))
    assert [try_to_prepare_subject(job) for job in prepare] == [True, True, True]
    assert [is_prepared(job) for job in prepare] == [True, False, True]
    reason = "RuntimeError: Registration failed with error code 1"
    assert find_bad_heads(prepare) == {"02": reason}
    assert quality_rows(prepare)[1] == {"subject": "02", "excluded": reason}
    assert quality_rows(prepare)[0]["overlap"] == 0.9
    assert [try_to_prepare_subject(job) for job in prepare] == [False, False, False]


def test_a_failed_subject_is_tried_again_if_one_of_its_files_changes(
    prepare: tuple[PrepareJob, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = Finding.error("/data/sub-01_dwi.nii.gz", "no signal", "Copy it again.")
    monkeypatch.setattr(MATCH, fail_on("01", BadInput([finding])))
    try_to_prepare_subject(prepare[0])
    assert failure_reason(prepare[0]) == "sub-01_dwi.nii.gz: no signal. Copy it again."
    bvec = prepare[0].source.bvec
    bvec.write_text(bvec.read_text() + "\n")
    job = replace(prepare[0])
    assert failure_reason(job) == ""
    monkeypatch.setattr(MATCH, fail_on("none", RuntimeError()))
    assert try_to_prepare_subject(job)
    assert find_bad_heads([job]) == {}


def test_errors_of_the_disk_are_not_those_of_a_subject(
    prepare: tuple[PrepareJob, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MATCH, fail_on("01", OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        try_to_prepare_subject(prepare[0])
    assert failure_reason(prepare[0]) == ""


def test_subjects_are_compared_once_all_are_prepared(
    prepare: tuple[PrepareJob, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = RegistrationQuality(0.05, 0.1, 0.1)
    monkeypatch.setattr(MATCH, fail_on("none", RuntimeError(), bad))
    try_to_prepare_subject(prepare[0])
    monkeypatch.setattr(MATCH, fail_on("none", RuntimeError()))
    try_to_prepare_subject(prepare[1])
    assert find_bad_heads(prepare) == {}
    try_to_prepare_subject(prepare[2])
    assert list(find_bad_heads(prepare)) == ["01"]
