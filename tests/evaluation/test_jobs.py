from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bids_shresnet.evaluation.evaluate import evaluate_fold
from bids_shresnet.evaluation.jobs import EvaluationSettings, evaluation_jobs
from bids_shresnet.io.storage import read_json
from bids_shresnet.methods.harmonizer import Harmonizer
from bids_shresnet.methods.linear import OrderGain, ShProjection
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.pairs import Split
from bids_shresnet.planning.pair_shells import PairShells
from bids_shresnet.settings import Method, NetworkConfig, TrainingConfig
from bids_shresnet.training.folds import FoldJob
from bids_shresnet.training.prepare import PrepareJob
from bids_shresnet.training.travelling_subjects import write_travelling_subject
from tests.datasets import write_tree
from tests.evaluation.scaled_heads import (
    NO_OFFSET,
    evaluate_job,
    exact_gain,
    scaled_head,
    scaled_heads,
    write_fit,
)
from tests.factories import make_scan
from tests.methods.heads import GAINS, SHELLS
from tests.models import constant_model

SUBJECTS = ("01", "02", "03")


def prepare_job(subject: str, folder: Path) -> PrepareJob:
    scan = make_scan(subject=subject)
    return PrepareJob(scan, scan, PairShells(SHELLS, SHELLS), folder / subject)


def baseline_job(number: int, split: Split, folder: Path) -> FoldJob:
    return FoldJob(
        method="golkov",
        number=number,
        split=split,
        folder=folder,
        prepared_folders={},
        input_digests={},
        shells=SHELLS,
        network=NetworkConfig(),
        training=TrainingConfig(),
        seed=7,
        device="cpu",
    )


def baseline_jobs(model: Model, folder: Path) -> list[FoldJob]:
    return [baseline_job(number, split, folder) for number, split in enumerate(model.splits, 1)]


def test_there_is_a_job_for_every_fold_with_the_fits_of_that_fold(tmp_path: Path) -> None:
    model = constant_model(tmp_path / "model", write_tree(tmp_path / "bids", {}))
    prepared = [prepare_job(subject, tmp_path) for subject in SUBJECTS]
    baselines = baseline_jobs(model, tmp_path / "golkov")
    settings = EvaluationSettings(
        folder=tmp_path,
        methods=("shresnet", "golkov"),
        applied_method="shresnet",
        seed=7,
        device="cpu",
    )
    jobs = evaluation_jobs(prepared, prepared[1:2], model, baselines, settings)
    assert [job.split.test for job in jobs] == [(subject,) for subject in SUBJECTS]
    assert len({job.file for job in jobs}) == len(SUBJECTS)
    for job, fold, baseline in zip(jobs, model.card.folds, baselines, strict=True):
        assert job.fitted_files == {
            "shresnet": model.folder / fold.weights.file,
            "golkov": baseline.file,
        }
        assert job.split == fold.split
        assert job.prepared_folders == {subject: tmp_path / subject for subject in SUBJECTS}
        assert job.repeat_folders == {"02": tmp_path / "02"}
        assert (job.methods, job.applied_method) == (("shresnet", "golkov"), "shresnet")
        assert job.seed == 7


@pytest.mark.slow
def test_a_fold_is_evaluated_again_only_if_its_input_changes(tmp_path: Path) -> None:
    harmonizers: dict[Method, Harmonizer] = {
        "order_gain": exact_gain(),
        "sh_projection": ShProjection((1000.0,)),
    }
    job = evaluate_job(tmp_path, scaled_heads(), harmonizers)
    assert evaluate_fold(job)
    assert not evaluate_fold(job)
    record = read_json(job.file)
    assert evaluate_fold(replace(job, methods=("order_gain",)))
    assert evaluate_fold(replace(job, seed=1))
    assert evaluate_fold(replace(job, target_bvalues=(1100.0,)))
    assert evaluate_fold(job)
    assert read_json(job.file) == record
    write_fit(job.fitted_files["order_gain"], OrderGain(2 * GAINS, NO_OFFSET))
    assert evaluate_fold(job)
    job.file.unlink()
    assert evaluate_fold(job)


@pytest.mark.slow
@pytest.mark.parametrize("label", ["01", "02"], ids=["held out", "training"])
def test_a_fold_is_evaluated_again_if_a_subject_is_prepared_again(
    label: str, tmp_path: Path
) -> None:
    job = evaluate_job(tmp_path, scaled_heads(), {"order_gain": exact_gain()})
    assert evaluate_fold(job)
    write_travelling_subject(
        job.prepared_folders[label], scaled_head(9), {"inputs": "another scan"}
    )
    assert evaluate_fold(job)
    assert not evaluate_fold(job)
