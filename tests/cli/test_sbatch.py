from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from bids_shresnet.cli.sbatch import Container, SlurmJob, render_batch_script, render_submission

STUDY = Path("/my study/it's #1 & $HOME")
FOLDERS = {name: STUDY / name for name in ("bids", "out", "slurm")}
JOB = SlurmJob(
    name="train",
    comment="Train.",
    arguments="group",
    task_arguments=(("0",), ("1",)),
    cpus=1,
    memory_mb=900,
    minutes=30,
)


def words_of(script: str) -> list[str]:
    """Words that a shell reads in a script."""
    return shlex.split(script.replace("\\\n", ""), comments=True)


@pytest.mark.parametrize("is_contained", [False, True])
def test_a_path_of_any_characters_is_one_word_of_the_script(is_contained: bool) -> None:
    bids, out, folder = FOLDERS["bids"], FOLDERS["out"], FOLDERS["slurm"]
    image = STUDY / "a.sif"
    container = Container(image, (bids,), (out,)) if is_contained else None
    script = render_batch_script(
        JOB, folder=folder, datasets=(bids, out), container=container, options=()
    )
    [option] = [line for line in script.splitlines() if line.startswith("#SBATCH --output=")]
    log = f"--output={folder}/logs/%x-%A_%a.log"
    assert shlex.split(option) == ["#SBATCH", log]
    words = words_of(script)
    expected = [str(bids), str(out), "--config-file", str(folder / "config.json")]
    first = words.index(str(bids))
    assert words[first : first + len(expected)] == expected
    if is_contained:
        binds = ["--bind", f"{bids}:{bids}:ro", "--bind", f"{out}:{out}", str(image)]
        assert words[first - len(binds) : first] == binds


def test_a_script_of_any_folder_is_one_word_of_the_submission() -> None:
    words = words_of(render_submission([(JOB, ())], FOLDERS["slurm"]))
    assert any(str(FOLDERS["slurm"] / "train.sbatch") in word for word in words)
