"""`group` in stages, as the jobs of a cluster run it, beside `group` in one run; a phantom of 8 mm."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bids_shresnet.cli.app import main
from bids_shresnet.errors import Interrupted, UsageError
from bids_shresnet.io.storage import hash_file
from tests.configs import make_config

ROOT = Path(__file__).parent.parent
ROUNDING = 1e-3  # of validation losses, over whole trainings
MODEL = "from-SIGNAEXCITE000000PHANTMR1_to-Prisma99001"
FLAGS = (
    *("--nprocs", "1", "--omp-nthreads", "1", "--methods", "patch_linear", "golkov"),
    *(
        "--training.max-epochs",
        "3",
        "--training.voxels-per-epoch",
        "600",
        "--training.adam-batch",
        "32",
    ),
)


def group(bids: Path, out: Path, *arguments: str) -> int:
    return main([str(bids), str(out), "group", *FLAGS, *arguments])


def models(out: Path) -> dict[str, str]:
    """Digests of the files of all models, without those of trainings under way."""
    folder = out / "derivatives/shresnet/models"
    return {path.name: hash_file(path) for path in folder.rglob("[!.]*.*")}


@pytest.fixture(scope="module")
def whole(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    assert group(phantom / "bids", out) == 0
    return out


@pytest.fixture(scope="module")
def ready(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output whose subjects are prepared, each by a job of its own."""
    out = tmp_path_factory.mktemp("ready")
    for label in ("01", "02", "03"):
        assert group(phantom / "bids", out, "--stage", "prepare", "--participant-label", label) == 0
    return out


@pytest.fixture
def prepared(ready: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(ready, tmp_path / "out")
    return tmp_path / "out"


def test_stages_make_what_one_run_makes_to_the_bit_in_any_order_of_folds(
    phantom: Path, whole: Path, prepared: Path
) -> None:
    for fold in ("3", "1", "2"):
        assert group(phantom / "bids", prepared, "--stage", "train", "--fold", fold) == 0
    assert "model.json" not in models(prepared)
    assert (prepared / "derivatives/shresnet/.work").exists()
    assert group(phantom / "bids", prepared, "--stage", "evaluate") == 0
    assert models(prepared) == models(whole)
    for name in ("group_harmonization.tsv", "group_harmonization.json"):
        assert hash_file(prepared / "derivatives/shresnet" / name) == hash_file(
            whole / "derivatives/shresnet" / name
        )
    assert not (prepared / "derivatives/shresnet/.work").exists()


def test_evaluate_names_what_is_not_trained_and_how_to_train_it_alone(
    phantom: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert group(phantom / "bids", prepared, "--stage", "train", "--fold", "2") == 0
    assert group(phantom / "bids", prepared, "--stage", "evaluate") == 66
    said = capsys.readouterr().err
    assert (
        "not trained: fold 1 (model, patch_linear, golkov); fold 3 (model, patch_linear, golkov)"
        in said
    )
    assert "--stage train --pair SIGNAEXCITE000000PHANTMR1:Prisma99001 --fold 1 3" in said
    assert "model.json" not in models(prepared)


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_what_is_not_prepared_is_named_with_how_to_prepare_it_alone(
    stage: str, phantom: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(prepared / f"derivatives/shresnet/.work/{MODEL}/sub-02")
    assert group(phantom / "bids", prepared, "--stage", stage) == 66
    said = capsys.readouterr().err
    assert "not prepared: sub-02." in said
    assert (
        "--stage prepare --pair SIGNAEXCITE000000PHANTMR1:Prisma99001 --participant-label 02"
        in said
    )


def test_a_fold_or_a_subject_that_is_not_there_is_refused(
    phantom: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert group(phantom / "bids", prepared, "--stage", "train", "--fold", "4", "2") == 64
    assert f"--fold 4: {MODEL} has the folds 1 to 3" in capsys.readouterr().err
    assert (
        group(phantom / "bids", prepared, "--stage", "prepare", "--participant-label", "04") == 66
    )
    assert (
        "--participant-label 04: only travelling subjects are prepared: 01 02 03"
        in capsys.readouterr().err
    )


def test_a_stage_of_a_finished_model_does_nothing(
    phantom: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = models(whole)
    for stage in ("train", "evaluate"):
        assert group(phantom / "bids", whole, "--stage", stage) == 0
        assert "trained before" in capsys.readouterr().err
    assert models(whole) == before


@pytest.mark.parametrize(
    ("level", "changes", "remedy"),
    [
        ("participant", {"stage": "train"}, "goes with `group`"),
        ("group", {"stage": "train", "models": Path("models")}, "without --models"),
        ("group", {"fold": (1,)}, "--fold says which folds --stage train fits"),
        (
            "group",
            {"stage": "evaluate", "fold": (1,)},
            "--fold says which folds --stage train fits",
        ),
        ("group", {"stage": "prepare", "clean_workdir": True}, "remove the work folder before"),
    ],
)
def test_stages_that_make_no_sense_are_refused(
    level: str, changes: dict[str, object], remedy: str
) -> None:
    with pytest.raises(UsageError, match=remedy):
        make_config(Path("bids"), Path("out"), level, **changes)


def app(*arguments: str) -> subprocess.Popen[str]:
    """The app in a process of its own."""
    command = [sys.executable, str(ROOT / "run.py"), *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def test_a_training_that_a_signal_stops_ends_with_the_code_for_try_again_and_then_with_the_same_losses(
    phantom: Path, whole: Path, prepared: Path
) -> None:
    """The second of three folds is under way; all ends as if nothing had been.

    But for rounding, which training amplifies: another process may have its arrays elsewhere in memory, and sum them in
    another order. That what was saved leads to the same bits is a law of tests/network/test_fitting.py.
    """
    command = (str(phantom / "bids"), str(prepared), "group", *FLAGS, "--stage", "train")
    folder = prepared / "derivatives/shresnet/models" / MODEL
    with app(*command) as process:
        deadline = time.monotonic() + 600
        while (
            not list(folder.glob(".fold-02*.state"))
            and process.poll() is None
            and time.monotonic() < deadline
        ):
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGUSR1)
        said = process.communicate(timeout=600)[1]
    assert process.returncode == Interrupted.exit_code, said
    assert "stopped by SIGUSR1; run the same command again to go on" in said
    assert "fold-01.safetensors" in models(prepared)
    assert "fold-03.safetensors" not in models(prepared)
    assert group(phantom / "bids", prepared, "--stage", "train") == 0
    for number in (1, 2, 3):
        assert losses(prepared, number) == pytest.approx(losses(whole, number), rel=ROUNDING)


def losses(out: Path, fold: int) -> list[float]:
    """Validation losses of a fold's network."""
    from bids_shresnet.io.safetensors import read_record

    (file,) = (out / "derivatives/shresnet/models").rglob(f"fold-{fold:02d}.safetensors")
    return [epoch["validation_loss"] for epoch in read_record(file)["epochs"]]
