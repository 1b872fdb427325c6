"""Stages of `group` as jobs of a cluster, where bad heads leave fewer subjects than planned."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from bids_shresnet.config import Config
from bids_shresnet.errors import UsageError
from bids_shresnet.pairs import Pair
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.training.folds import FoldJob
from bids_shresnet.workflow.build_models import build_models, check_stage
from bids_shresnet.workflow.pair_work import PairWork
from bids_shresnet.workflow.train_pair import drop_bad_heads
from tests.bad_heads import make_pair, replace_registration
from tests.configs import make_config

SUBJECTS = ("01", "02", "03", "04", "05")
ALONE = Workers(1, 1)

pytestmark = pytest.mark.slow


def config_of_stage(root: Path, stage: str, **flags: object) -> Config:
    return make_config(root / "data", root / "out", "group", stage=stage, **flags)


def prepare_in_jobs(pair: Pair, root: Path) -> None:
    """Prepare each subject by a job of its own."""
    for label in SUBJECTS:
        config = config_of_stage(root, "prepare", participant_label=(label,))
        build_models([pair], config, root / "out", ALONE)


def train(pair: Pair, root: Path, *folds: int) -> None:
    """Train some folds as a run does."""
    config = config_of_stage(root, "train", fold=folds)
    check_stage([PairWork(pair, config, root / "out")], config)
    build_models([pair], config, root / "out", ALONE)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the folds of the model that are trained; no training is done."""
    numbers = []

    def record(job: FoldJob) -> bool:
        if job.has_novelty_detector:
            numbers.append(job.number)
        return True

    monkeypatch.setattr("bids_shresnet.workflow.train_pair.train_fold", record)
    return numbers


def test_tasks_of_folds_that_bad_heads_leave_out_end_well_and_others_are_trained(
    trained: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    replace_registration(monkeypatch, failing=["01"], other_heads=["04"])
    pair = make_pair(tmp_path / "data", SUBJECTS)
    prepare_in_jobs(pair, tmp_path)
    for number in range(6):
        with caplog.at_level(logging.INFO):
            train(pair, tmp_path, number)
    assert trained == [0, 1, 2, 3]
    assert "nothing to do for fold 4: " in caplog.text
    assert "nothing to do for fold 5: " in caplog.text
    with pytest.raises(UsageError, match="has the folds 1 to 5"):
        train(pair, tmp_path, 6)


def with_other_bvalue(pair: Pair) -> Pair:
    """Let the first subject's b-values on the source be 1005 s/mm2 instead of 1000."""
    (source, target), *others = pair.travelling_scans
    bvals = tuple(1.005 * bvalue for bvalue in source.bvals)
    travelling = ((replace(source, bvals=bvals), target), *others)
    return replace(pair, travelling_scans=travelling)


def test_shells_of_a_first_head_that_is_left_out_are_replaced_once_and_for_all(
    trained: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job that prepares the last subject prepares the others again, with their own shells."""
    registered = replace_registration(monkeypatch, other_heads=["01"])
    pair = with_other_bvalue(make_pair(tmp_path / "data", SUBJECTS))
    for _ in range(2):
        prepare_in_jobs(pair, tmp_path)
        assert registered == [*SUBJECTS, *SUBJECTS[1:]]
        train(pair, tmp_path, 1)
    assert trained == [1, 1]
    remaining = drop_bad_heads(PairWork(pair, config_of_stage(tmp_path, "train"), tmp_path / "out"))
    assert [shell.bvalue for shell in remaining.shells.source] == [1000.0]
    assert remaining.unprepared_jobs == ()
