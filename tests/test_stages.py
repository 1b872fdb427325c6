"""`group` in stages, as the jobs of a cluster run it, compared with `group` in one run."""

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
from bids_shresnet.io.safetensors import read_record
from bids_shresnet.io.storage import hash_file
from bids_shresnet.outputs.layout import output_root
from tests.configs import make_config

ROOT = Path(__file__).parent.parent
ROUNDING = 1e-3  # relative difference of validation losses after whole trainings
PAIR = "SIGNAEXCITE000000PHANTMR1:Prisma99001"
MODEL = "from-SIGNAEXCITE000000PHANTMR1_to-Prisma99001"
FLAGS = (
    *("--nprocs", "1", "--omp-nthreads", "1", "--methods", "patch_linear", "golkov"),
    *("--training.max-epochs=3", "--training.voxels-per-epoch=600", "--training.adam-batch=32"),
)


def group(bids: Path, out: Path, *arguments: str) -> int:
    return main([str(bids), str(out), "group", *FLAGS, *arguments])


def models(out: Path) -> dict[str, str]:
    """Digests of the files of all models, without those of unfinished trainings."""
    files = (output_root(out) / "models").rglob("[!.]*.*")
    return {path.name: hash_file(path) for path in files}


@pytest.fixture(scope="module")
def single_run(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of `group` in one run."""
    out = tmp_path_factory.mktemp("single")
    assert group(phantom / "bids", out) == 0
    return out


@pytest.fixture(scope="module")
def prepared_output(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output with all subjects prepared, each by its own job."""
    out = tmp_path_factory.mktemp("prepared")
    for label in ("01", "02", "03"):
        assert group(phantom / "bids", out, "--stage", "prepare", "--participant-label", label) == 0
    return out


@pytest.fixture
def prepared(prepared_output: Path, tmp_path: Path) -> Path:
    """A copy of the output with all subjects prepared."""
    shutil.copytree(prepared_output, tmp_path / "out")
    return tmp_path / "out"


def test_stages_give_the_bits_of_one_run_in_any_order_of_folds(
    phantom: Path, single_run: Path, prepared: Path
) -> None:
    for fold in ("3", "0", "1", "2"):
        assert group(phantom / "bids", prepared, "--stage", "train", "--fold", fold) == 0
    assert "model.json" not in models(prepared)
    assert (output_root(prepared) / ".work").exists()
    assert group(phantom / "bids", prepared, "--stage", "evaluate") == 0
    assert models(prepared) == models(single_run)
    for name in ("group_harmonization.tsv", "group_harmonization.json"):
        digest = hash_file(output_root(prepared) / name)
        assert digest == hash_file(output_root(single_run) / name)
    assert not (output_root(prepared) / ".work").exists()


def test_unfitted_folds_are_named_with_the_flags_that_train_them(
    phantom: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert group(phantom / "bids", prepared, "--stage", "train", "--fold", "2") == 0
    assert group(phantom / "bids", prepared, "--stage", "evaluate") == 66
    message = capsys.readouterr().err
    first = "fold 0 (model); fold 1 (model, denoiser of the target, patch_linear, golkov)"
    assert f"not trained: {first}; fold 3 (model, patch_linear, golkov)" in message
    assert f"--stage train --pair {PAIR} --fold 0 1 3" in message
    assert "model.json" not in models(prepared)


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_unprepared_subjects_are_named_with_the_flags_that_prepare_them(
    stage: str, phantom: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder,) = (output_root(prepared) / ".work" / MODEL).rglob("sub-02")
    shutil.rmtree(folder)
    assert group(phantom / "bids", prepared, "--stage", stage) == 66
    message = capsys.readouterr().err
    assert "not prepared: sub-02." in message
    assert f"--stage prepare --pair {PAIR} --participant-label 02" in message


def test_an_unknown_fold_or_subject_is_refused(
    phantom: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert group(phantom / "bids", prepared, "--stage", "train", "--fold", "4", "2") == 64
    assert f"--fold 4: {MODEL} has the folds 1 to 3" in capsys.readouterr().err
    flags = ("--stage", "prepare", "--participant-label", "04")
    assert group(phantom / "bids", prepared, *flags) == 66
    message = "--participant-label 04: only travelling subjects are prepared: 01 02 03"
    assert message in capsys.readouterr().err


def test_a_stage_of_a_finished_model_does_nothing(
    phantom: Path, single_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = models(single_run)
    for stage in ("train", "evaluate"):
        assert group(phantom / "bids", single_run, "--stage", stage) == 0
        assert "trained before" in capsys.readouterr().err
    assert models(single_run) == before


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
def test_contradicting_stage_flags_are_refused(
    level: str, changes: dict[str, object], remedy: str
) -> None:
    with pytest.raises(UsageError, match=remedy):
        make_config(Path("bids"), Path("out"), level, **changes)


def start_app(*arguments: str) -> subprocess.Popen[str]:
    """Start the app in its own process."""
    command = [sys.executable, str(ROOT / "run.py"), *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for_state(process: subprocess.Popen[str], folder: Path) -> None:
    """Wait until the training of the second fold has saved a state."""
    deadline = time.monotonic() + 600
    while not list(folder.glob(".fold-02*.state")):
        if process.poll() is not None or time.monotonic() > deadline:
            return
        time.sleep(0.005)


def test_a_training_stopped_by_a_signal_continues_to_the_same_losses(
    phantom: Path, single_run: Path, prepared: Path
) -> None:
    """The signal arrives during the second of three folds.

    Losses are equal but for rounding, which training amplifies: a new process may place its arrays
    elsewhere in memory and sum them in another order. That a saved state leads to the same bits is
    a law of tests/network/test_training_loop.py.
    """
    command = (str(phantom / "bids"), str(prepared), "group", *FLAGS, "--stage", "train")
    with start_app(*command) as process:
        wait_for_state(process, output_root(prepared) / "models" / MODEL)
        os.kill(process.pid, signal.SIGUSR1)
        message = process.communicate(timeout=600)[1]
    assert process.returncode == Interrupted.exit_code, message
    assert "stopped by SIGUSR1; run the same command again to go on" in message
    assert "fold-01.safetensors" in models(prepared)
    assert "fold-03.safetensors" not in models(prepared)
    assert group(phantom / "bids", prepared, "--stage", "train") == 0
    for number in (1, 2, 3):
        assert losses(prepared, number) == pytest.approx(losses(single_run, number), rel=ROUNDING)


def losses(out: Path, fold: int) -> list[float]:
    """Validation losses of the network of a fold."""
    (file,) = (output_root(out) / "models").rglob(f"fold-{fold:02d}.safetensors")
    return [epoch["validation_loss"] for epoch in read_record(file)["epochs"]]
