from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bids_shresnet.errors import BadInput
from bids_shresnet.io.storage import read_tsv
from bids_shresnet.pairs import Pair
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.workflow.execute_plan import excluded_head_rows
from bids_shresnet.workflow.pair_work import PairWork
from bids_shresnet.workflow.train_pair import prepare_travelling_subjects
from tests.bad_heads import make_pair, replace_registration
from tests.configs import make_config

SUBJECTS = ("01", "02", "03", "04", "05")
ALONE = Workers(1, 1)

pytestmark = pytest.mark.slow


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Registration fails on sub-01, and is of another head in sub-04."""
    replace_registration(monkeypatch, failing=["01"], other_heads=["04"])
    return make_pair(tmp_path / "data", SUBJECTS)


def make_pair_work(pair: Pair, root: Path) -> PairWork:
    return PairWork(pair, make_config(root / "data", root / "out", "group"), root / "out")


def subjects(pair: Pair) -> list[str]:
    return [source.subject for source, _ in pair.travelling_scans]


def test_bad_heads_end_no_training_and_all_folds_are_those_without_them(
    pair: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    remaining = prepare_travelling_subjects(make_pair_work(pair, tmp_path), ALONE)
    assert subjects(remaining.pair) == ["02", "03", "05"]
    assert "sub-04 is not trained on: the signal of both scans is correlated by 0.40" in caplog.text
    good = tuple(scans for scans in pair.travelling_scans if scans[0].subject in ("02", "03", "05"))
    without = make_pair_work(replace(pair, travelling_scans=good), tmp_path)
    assert [job.digest for job in remaining.folds] == [job.digest for job in without.folds]


def test_the_quality_of_all_heads_is_a_table_of_the_model_and_bad_ones_are_in_the_status(
    pair: Pair, tmp_path: Path
) -> None:
    pair_work = make_pair_work(pair, tmp_path)
    prepare_travelling_subjects(pair_work, ALONE)
    rows = read_tsv(pair_work.model_folder / "registration.tsv")
    assert [row["subject"] for row in rows] == list(SUBJECTS)
    assert [row["overlap"] for row in rows] == ["n/a", "0.9", "0.9", "0.9", "0.9"]
    excluded = excluded_head_rows([pair], tmp_path / "out")
    assert [row.subject for row in excluded] == ["01", "01", "04", "04"]
    assert {row.status for row in excluded} == {"excluded"}
    assert "Registration failed with error code 1" in excluded[0].reason


def test_too_few_remaining_heads_are_an_error_that_names_the_bad_ones(
    pair: Pair, tmp_path: Path
) -> None:
    few = replace(pair, travelling_scans=pair.travelling_scans[:4])
    with pytest.raises(BadInput, match="2 remain") as error:
        prepare_travelling_subjects(make_pair_work(few, tmp_path), ALONE)
    assert [finding.file[-6:] for finding in error.value.findings] == ["sub-01", "sub-04"]
