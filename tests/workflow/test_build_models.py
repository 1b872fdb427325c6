from __future__ import annotations

from pathlib import Path

import pytest

from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.pairs import Pair
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.scans import Scanner
from bids_shresnet.workflow import build_models
from bids_shresnet.workflow.pair_work import PairWork
from tests.configs import make_config
from tests.datasets import write_tree
from tests.models import constant_model
from tests.workflow.locks import is_locked


@pytest.fixture
def pair_work(tmp_path: Path) -> PairWork:
    """A pair whose model is complete."""
    pair = Pair(Scanner("GE"), Scanner("Prisma"), travelling_scans=())
    constant_model(tmp_path / "out/models" / pair.name, write_tree(tmp_path / "bids", {}))
    return PairWork(pair, make_config(tmp_path / "bids", tmp_path / "out"), tmp_path / "out")


def test_one_job_at_a_time_works_on_a_model(
    pair_work: PairWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = build_models.load_existing_model
    locked = []

    def watch(work: PairWork) -> Model | None:
        locked.append(is_locked(work.model_folder))
        return load(work)

    monkeypatch.setattr(build_models, "load_existing_model", watch)
    build_models.build_model(pair_work, Workers(1, 1))
    assert locked == [True]
    assert not is_locked(pair_work.model_folder)


def test_a_complete_model_is_loaded_and_not_trained_again(
    pair_work: PairWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        pytest.fail("a subject is prepared")

    monkeypatch.setattr(build_models, "prepare_subjects", fail)
    existing = pair_work.existing_model
    assert existing is not None
    assert build_models.build_model(pair_work, Workers(1, 1)).digest == existing.digest
