"""Batch scripts for Slurm: one a stage, with an array of its units, and the one that submits them all in order."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_shresnet.errors import Interrupted

NOTICE = 120  # seconds between the signal and the time limit
RESTARTS = 20  # of a job that is stopped at its limit again and again, before it fails
DEAF = 128 + signal.SIGUSR1  # of an app that had only begun to start, or was done, when the signal came
UNIT, REST = '"${unit[0]}"', '"${unit[@]:1}"'  # in a script: the first word of a unit, and all others
ALL = '"${unit[@]}"'


@dataclass(frozen=True)
class Job:
    """A stage as Slurm sees it.

    Attributes
    ----------
    does
        What a comment says of it.
    arguments
        Of the app, as the shell reads them.
    units
        Words of each task of the array; none where the stage is a single job.
    memory
        MB of a task.
    minutes
        Time limit of a task.
    """

    name: str
    does: str
    arguments: str
    units: tuple[tuple[str, ...], ...]
    cpus: int
    memory: int
    minutes: int


@dataclass(frozen=True)
class Container:
    """An Apptainer image, and the folders that it may read and write."""

    image: Path
    read: tuple[Path, ...]
    write: tuple[Path, ...]

    @property
    def command(self) -> str:
        """What runs the app in it; its /tmp is a folder of the job's own, since that in memory is small."""
        binds = [f"{path}:{path}:ro" for path in self.read] + [f"{path}:{path}" for path in self.write]
        lines = ['apptainer run --containall --cleanenv --workdir "$scratch"']
        lines += [f"    --bind {shlex.quote(bind)}" for bind in binds]
        return " \\\n".join([*lines, f"    {shlex.quote(str(self.image))}"])


def script(
    job: Job, folder: Path, datasets: tuple[Path, Path], container: Container | None, options: Sequence[str]
) -> str:
    """The batch script of a stage.

    Parameters
    ----------
    folder
        Where config.json and the logs are.
    datasets
        The input and the output.
    options
        Further ones of sbatch.
    """
    limits = f'--nprocs "$SLURM_CPUS_PER_TASK" --omp-nthreads 1 --mem "${{SLURM_MEM_PER_NODE:-{job.memory}}}"'
    config = shlex.quote(str(folder / "config.json"))
    app = container.command if container else "bids-shresnet"
    return "\n".join(
        [
            "#!/bin/bash",
            *(f"#SBATCH {option}" for option in [*_options(job, folder), *options]),
            f"# {job.does}",
            "set -euo pipefail",
            "",
            *_unit(job),
            *(["scratch=$(mktemp -d)", "trap 'rm -rf \"$scratch\"' EXIT", ""] if container else []),
            f"{app} \\",
            f"    {shlex.join(map(str, datasets))} \\",
            f"    --config-file {config} \\",
            f"    {job.arguments} \\",
            f"    {limits} &",
            END,
        ]
    )


# A signal ends `wait` before the app, which keeps what it has done: so wait again, and the same job goes on with it.
END = f"""\
app=$!
again=no
trap 'told=yes again=yes; kill -USR1 "$app" || true' USR1 # {NOTICE} s before the time limit
trap 'told=yes again=no; kill -TERM "$app" || true' TERM # cancelled or preempted: what follows is for others to say
told=yes
while [ "$told" = yes ]; do
    told=no code=0
    wait "$app" || code=$?
done
if [ "$again" = yes ] && {{ [ "$code" -eq {Interrupted.exit_code} ] || [ "$code" -eq {DEAF} ]; }}; then
    [ "${{SLURM_RESTART_COUNT:-0}}" -ge {RESTARTS} ] || scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""


def submission(jobs: Sequence[tuple[Job, Sequence[int]]], folder: Path) -> str:
    """Commands that submit jobs, or of their arrays only some tasks, each to begin when the one before ended well."""
    lines, before = [], ""
    for job, tasks in jobs:
        array = f"--array={','.join(map(str, tasks))} " if tasks else ""
        waits = f'--kill-on-invalid-dep=yes --dependency=afterok:"${before}" ' if before else ""
        file = shlex.quote(str(folder / f"{job.name}.sbatch"))
        lines += [f"{job.name}=$(sbatch --parsable {array}{waits}{file})", f'echo "{job.name}: job ${job.name}"']
        before = job.name
    return "\n".join(lines) + "\n"


def _options(job: Job, folder: Path) -> list[str]:
    log = "%x-%A_%a.log" if job.units else "%x-%j.log"
    return [
        f"--job-name=shresnet-{job.name}",
        *([f"--array=0-{len(job.units) - 1}"] if job.units else []),
        f"--cpus-per-task={job.cpus}",
        f"--mem={job.memory}M",
        f"--time={job.minutes // 60:02d}:{job.minutes % 60:02d}:00",
        f"--output={folder / 'logs' / log}",
        "--open-mode=append",
        f"--signal=B:USR1@{NOTICE}",
        "--requeue",
    ]


def _unit(job: Job) -> list[str]:
    if not job.units:
        return []
    listed = [f"    {shlex.quote(' '.join(unit))}" for unit in job.units]
    return ["units=(", *listed, ")", 'read -ra unit <<< "${units[SLURM_ARRAY_TASK_ID]}"', ""]
