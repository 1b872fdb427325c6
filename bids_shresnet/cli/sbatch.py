"""Batch scripts for Slurm: one a stage, with an array of its units, and the one that submits them all in order."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_shresnet.errors import Interrupted

NOTICE_SECONDS = 120  # seconds between the signal and the time limit
MAX_RESTARTS = 20  # of a job that is stopped at its limit again and again, before it fails
SIGUSR1_EXIT_CODE = (
    128 + signal.SIGUSR1
)  # of an app that had only begun to start, or was done, when the signal came
FIRST_TASK_ARGUMENT, OTHER_TASK_ARGUMENTS = (
    '"${unit[0]}"',
    '"${unit[@]:1}"',
)  # in a script: the first word of a unit, and all others
ALL_TASK_ARGUMENTS = '"${unit[@]}"'


@dataclass(frozen=True)
class SlurmJob:
    """A stage as Slurm sees it.

    Attributes
    ----------
    comment
        What a comment says of it.
    arguments
        Of the app, as the shell reads them.
    task_arguments
        Words of each task of the array; none where the stage is a single job.
    memory_mb
        MB of a task.
    minutes
        Time limit of a task.
    """

    name: str
    comment: str
    arguments: str
    task_arguments: tuple[tuple[str, ...], ...]
    cpus: int
    memory_mb: int
    minutes: int


@dataclass(frozen=True)
class Container:
    """An Apptainer image, and the folders that it may read and write."""

    image: Path
    read_only_paths: tuple[Path, ...]
    writable_paths: tuple[Path, ...]

    @property
    def command(self) -> str:
        """What runs the app in it; its /tmp is a folder of the job's own, since that in memory is small."""
        binds = [f"{path}:{path}:ro" for path in self.read_only_paths] + [
            f"{path}:{path}" for path in self.writable_paths
        ]
        lines = ['apptainer run --containall --cleanenv --workdir "$scratch"']
        lines += [f"    --bind {shlex.quote(bind)}" for bind in binds]
        return " \\\n".join([*lines, f"    {shlex.quote(str(self.image))}"])


def batch_script(
    job: SlurmJob,
    folder: Path,
    datasets: tuple[Path, Path],
    container: Container | None,
    options: Sequence[str],
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
    limits = f'--nprocs "$SLURM_CPUS_PER_TASK" --omp-nthreads 1 --mem "${{SLURM_MEM_PER_NODE:-{job.memory_mb}}}"'
    config = shlex.quote(str(folder / "config.json"))
    app = container.command if container else "bids-shresnet"
    return "\n".join(
        [
            "#!/bin/bash",
            *(f"#SBATCH {option}" for option in [*_sbatch_options(job, folder), *options]),
            f"# {job.comment}",
            "set -euo pipefail",
            "",
            *_array_lines(job),
            *(["scratch=$(mktemp -d)", "trap 'rm -rf \"$scratch\"' EXIT", ""] if container else []),
            f"{app} \\",
            f"    {shlex.join(map(str, datasets))} \\",
            f"    --config-file {config} \\",
            f"    {job.arguments} \\",
            f"    {limits} &",
            WAIT_AND_REQUEUE,
        ]
    )


# A signal ends `wait` before the app, which keeps what it has done: so wait again, and the same job goes on with it.
WAIT_AND_REQUEUE = f"""\
app=$!
again=no
trap 'told=yes again=yes; kill -USR1 "$app" || true' USR1 # {NOTICE_SECONDS} s before the time limit
trap 'told=yes again=no; kill -TERM "$app" || true' TERM # cancelled or preempted: what follows is for others to say
told=yes
while [ "$told" = yes ]; do
    told=no code=0
    wait "$app" || code=$?
done
if [ "$again" = yes ] && {{ [ "$code" -eq {Interrupted.exit_code} ] || [ "$code" -eq {SIGUSR1_EXIT_CODE} ]; }}; then
    [ "${{SLURM_RESTART_COUNT:-0}}" -ge {MAX_RESTARTS} ] || scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""


def submission(jobs: Sequence[tuple[SlurmJob, Sequence[int]]], folder: Path) -> str:
    """Commands that submit jobs, or of their arrays only some tasks, each to begin when the one before ended well."""
    lines, before = [], ""
    for job, tasks in jobs:
        array = f"--array={','.join(map(str, tasks))} " if tasks else ""
        waits = f'--kill-on-invalid-dep=yes --dependency=afterok:"${before}" ' if before else ""
        file = shlex.quote(str(folder / f"{job.name}.sbatch"))
        lines += [
            f"{job.name}=$(sbatch --parsable {array}{waits}{file})",
            f'echo "{job.name}: job ${job.name}"',
        ]
        before = job.name
    return "\n".join(lines) + "\n"


def _sbatch_options(job: SlurmJob, folder: Path) -> list[str]:
    log = "%x-%A_%a.log" if job.task_arguments else "%x-%j.log"
    return [
        f"--job-name=shresnet-{job.name}",
        *([f"--array=0-{len(job.task_arguments) - 1}"] if job.task_arguments else []),
        f"--cpus-per-task={job.cpus}",
        f"--mem={job.memory_mb}M",
        f"--time={job.minutes // 60:02d}:{job.minutes % 60:02d}:00",
        f"--output={folder / 'logs' / log}",
        "--open-mode=append",
        f"--signal=B:USR1@{NOTICE_SECONDS}",
        "--requeue",
    ]


def _array_lines(job: SlurmJob) -> list[str]:
    if not job.task_arguments:
        return []
    listed = [f"    {shlex.quote(' '.join(unit))}" for unit in job.task_arguments]
    return ["units=(", *listed, ")", 'read -ra unit <<< "${units[SLURM_ARRAY_TASK_ID]}"', ""]
