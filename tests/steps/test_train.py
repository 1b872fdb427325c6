from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bids_shresnet.config import Config, NetworkConfig, TrainingConfig
from bids_shresnet.diffusion.harmonics import basis
from bids_shresnet.errors import UsageError
from bids_shresnet.files.arrays import write_arrays
from bids_shresnet.files.models import Model
from bids_shresnet.files.storage import sha256
from bids_shresnet.network.checkpoint import read_record
from bids_shresnet.scans import Pair, Scan, Scanner, Shell
from bids_shresnet.steps.train import FoldJob, fold_jobs, other_settings, split_subjects, train_fold, write_model
from tests.datasets import Series, spiral, write_tree

SHELLS = (Shell(1000.0, 2),)
QUICK = TrainingConfig(max_epochs=2, adam_epochs=1, voxels_per_epoch=30, adam_batch=16, sgd_batch=16)


@given(count=st.integers(3, 40), folds=st.integers(2, 15))
def test_every_subject_is_held_out_once_and_never_by_a_network_that_saw_it(count: int, folds: int) -> None:
    subjects = [f"{number:02d}" for number in range(count)]
    assume((count, folds) != (3, 2))  # nobody would be left to train on
    splits = split_subjects(subjects, folds)
    assert sorted(subject for split in splits for subject in split.test) == subjects
    assert len(splits) == min(folds, count)
    for split in splits:
        parts = (split.training, split.validation, split.test)
        assert all(parts)
        assert sorted(subject for part in parts for subject in part) == subjects  # each in one part alone
        assert len(split.validation) == 1


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_subjects_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} travelling subjects"):
        split_subjects(["01", "02"][:count], 10)


@pytest.mark.parametrize(("count", "folds"), [(3, 2), (5, 1), (3, 0), (4, -1)])
def test_folds_that_leave_nobody_to_train_on_are_refused(count: int, folds: int) -> None:
    with pytest.raises(UsageError, match=f"--training.folds {folds}"):
        split_subjects([str(number) for number in range(count)], folds)


@dataclass(frozen=True)
class Prepared:
    """As the prepare step leaves it."""

    source: Scan
    folder: Path
    digest: str = "abc"


def scan(root: Path, subject: str, session: str) -> Scan:
    stem = root / f"sub-{subject}/ses-{session}/dwi/sub-{subject}_ses-{session}_dwi"
    files = [stem.with_name(stem.name + extension) for extension in (".nii.gz", ".bval", ".bvec")]
    bvals = tuple(map(float, Series().bvals))
    return Scan(*files, {"subject": subject, "session": session}, {}, Scanner(session), bvals, root)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    names = [(subject, session) for subject in ("01", "02", "03") for session in ("ge", "prisma")]
    tree = {f"sub-{sub}/ses-{ses}/dwi/sub-{sub}_ses-{ses}_dwi": Series() for sub, ses in names}
    root = write_tree(tmp_path / "bids", tree)
    travelling = tuple((scan(root, subject, "ge"), scan(root, subject, "prisma")) for subject in ("01", "02", "03"))
    return Pair(Scanner("ge", "GE", "SIGNA", "1"), Scanner("prisma", "Siemens", "Prisma", "2"), travelling)


@pytest.fixture
def prepared(pair: Pair, tmp_path: Path) -> list[Prepared]:
    """Random voxels of three subjects."""
    found = []
    for seed, (source, _) in enumerate(pair.travelling):
        rng = np.random.default_rng(seed)
        arrays = {
            "patches": rng.standard_normal((40, 27, 6)).astype(np.float16),
            "signal": rng.random((40, 7)).astype(np.float16),
            "matrix": basis(spiral(7), 2).astype(np.float32),
            "tissue": np.ones(40, dtype=np.uint8),
        }
        write_arrays(tmp_path / "work" / source.subject, arrays, {"inputs": source.subject})
        found.append(Prepared(source, tmp_path / "work" / source.subject))
    return found


@pytest.fixture
def jobs(pair: Pair, prepared: list[Prepared], tmp_path: Path) -> tuple[FoldJob, ...]:
    return fold_jobs(tmp_path / "models" / pair.name, prepared, SHELLS, config(tmp_path))


def config(folder: Path) -> Config:
    return Config(folder / "bids", folder, "group", training=QUICK, network=NetworkConfig(resblocks=1, hidden=3))


def test_a_fold_is_trained_once_and_killed_runs_end_with_the_same_weights(jobs: tuple[FoldJob, ...]) -> None:
    assert [train_fold(job) for job in jobs] == [True] * 3
    before = [sha256(job.file) for job in jobs]
    assert len(set(before)) == 3
    assert [train_fold(job) for job in jobs] == [False] * 3
    jobs[1].file.unlink()
    assert [train_fold(job) for job in jobs] == [False, True, False]
    assert [sha256(job.file) for job in jobs] == before


CHANGES: dict[str, Callable[[FoldJob], FoldJob]] = {
    "seed": lambda job: replace(job, seed=1),
    "network": lambda job: replace(job, network=NetworkConfig(resblocks=2)),
    "training": lambda job: replace(job, training=replace(QUICK, max_epochs=1)),
    "shells": lambda job: replace(job, shells=(Shell(1100.0, 2),)),
    "a training subject": lambda job: replace(job, inputs={**job.inputs, job.split.training[0]: "new"}),
    "the validation subject": lambda job: replace(job, inputs={**job.inputs, job.split.validation[0]: "new"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_network_is_bound_to_all_it_depends_on(change: str, jobs: tuple[FoldJob, ...]) -> None:
    assert CHANGES[change](jobs[0]).digest != jobs[0].digest


def test_a_network_is_not_bound_to_the_scans_it_never_saw_nor_to_where_they_lie(jobs: tuple[FoldJob, ...]) -> None:
    job = jobs[0]
    held_out = replace(job, inputs={**job.inputs, job.split.test[0]: "new"})
    elsewhere = replace(job, folder=Path("elsewhere"), prepared={})
    assert held_out.digest == elsewhere.digest == job.digest


def test_a_model_names_its_folds_splits_and_subjects_and_keeps_every_epoch(
    pair: Pair, jobs: tuple[FoldJob, ...]
) -> None:
    for job in jobs:
        train_fold(job)
    model = write_model(pair, jobs, pair.travelling[0][0].dataset, SHELLS)
    assert model.name == "from-ge_to-prisma"
    assert (model.source, model.target) == ("ge", "prisma")
    assert model.source_shells == SHELLS
    world = Series().bvecs[1:] * [-1, 1, 1]  # FSL counts x from the right on this grid
    np.testing.assert_allclose(model.target_directions[0], world, atol=1e-5)
    assert list(model.card["Subjects"]) == ["01", "02", "03"]
    for job, fold in zip(jobs, model.card["Folds"], strict=True):
        assert fold["SHA256"] == sha256(job.file)
        assert (tuple(fold["Training"]), tuple(fold["Test"])) == (job.split.training, job.split.test)
        epochs = read_record(str(job.file))["epochs"]
        assert fold["ValidationLoss"] == min(epoch["validation_loss"] for epoch in epochs)
    with (model.folder / "training.tsv").open(newline="") as file:
        rows = [(row["fold"], row["epoch"], row["stage"]) for row in csv.DictReader(file, delimiter="\t")]
    assert rows == [(fold, epoch, stage) for fold in "123" for epoch, stage in (("0", "adam"), ("1", "sgd"))]


def test_a_model_is_none_until_its_card_is_written(pair: Pair, jobs: tuple[FoldJob, ...]) -> None:
    for job in jobs[:2]:
        train_fold(job)
    with pytest.raises(FileNotFoundError):
        write_model(pair, jobs, pair.travelling[0][0].dataset, SHELLS)
    assert not (jobs[0].folder / "model.json").exists()


def test_settings_that_a_model_was_not_trained_with_are_named() -> None:
    config = Config(Path("data"), Path("out"), "group")
    card = {"Training": asdict(config.training), "Network": {"resblocks": 2}, "Seed": config.random_seed}
    model = Model(Path("model"), card, "")
    assert other_settings(model, config) == ""
    asked = replace(config, random_seed=7, training=replace(config.training, max_epochs=99))
    assert other_settings(model, asked) == f"max_epochs {config.training.max_epochs}, random_seed {config.random_seed}"
