"""Batch scripts for Slurm, from `templates/`: one per stage, and the one that submits them all."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_shresnet.errors import Interrupted
from bids_shresnet.io.templates import template_environment

TEMPLATES = "cli/templates"
NOTICE_SECONDS = 120  # from the signal to the time limit
MAX_RESTARTS = 20  # a job that is stopped at its limit more often fails
SIGUSR1_EXIT_CODE = 128 + signal.SIGUSR1  # the signal came while the app was starting or ending

# How a script passes the words of its array task on to the app
FIRST_TASK_ARGUMENT = '"${task[0]}"'
OTHER_TASK_ARGUMENTS = '"${task[@]:1}"'
ALL_TASK_ARGUMENTS = '"${task[@]}"'


@dataclass(frozen=True)
class SlurmJob:
    """A stage of the work as one job of Slurm.

    Attributes
    ----------
    comment
        Sentence at the top of the script.
    arguments
        Arguments of the app, as the shell reads them.
    task_arguments
        One tuple of words per task of the array; empty if the stage is a single job.
    memory_mb
        Memory of one task in MB.
    minutes
        Time limit of one task in minutes.
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
    def binds(self) -> tuple[str, ...]:
        """Values of Apptainer's `--bind`; each path has the same name inside and outside."""
        read_only = tuple(f"{path}:{path}:ro" for path in self.read_only_paths)
        return read_only + tuple(f"{path}:{path}" for path in self.writable_paths)


def render_batch_script(
    job: SlurmJob,
    *,
    folder: Path,
    datasets: tuple[Path, Path],
    container: Container | None,
    options: Sequence[str],
) -> str:
    """Return the batch script of a stage.

    Parameters
    ----------
    folder
        Folder of config.json and the logs.
    datasets
        The input and the output.
    options
        Further options of sbatch.
    """
    hours, minutes = divmod(job.minutes, 60)
    log_name = "%x-%A_%a.log" if job.task_arguments else "%x-%j.log"
    return _render(
        "sbatch.jinja",
        job=job,
        tasks=_quote(" ".join(words) for words in job.task_arguments),
        time_limit=f"{hours:02d}:{minutes:02d}:00",
        log=shlex.quote(str(folder / "logs" / log_name)),
        options=options,
        container=container,
        image=shlex.quote(str(container.image)) if container else "",
        binds=_quote(container.binds) if container else [],
        datasets=shlex.join(str(path) for path in datasets),
        config=shlex.quote(str(folder / "config.json")),
    )


def render_submission(stages: Iterable[tuple[SlurmJob, Sequence[int]]], folder: Path) -> str:
    """Return a script that submits stages, each to begin when the one before has succeeded.

    Parameters
    ----------
    stages
        Jobs, and the tasks of their arrays to submit; all tasks if there are none.
    folder
        Folder of the batch scripts.
    """
    return _render(
        "submit.sh.jinja",
        stages=[
            {
                "name": job.name,
                "tasks": tasks,
                "script": shlex.quote(str(folder / f"{job.name}.sbatch")),
            }
            for job, tasks in stages
        ],
    )


def _render(template: str, **values: object) -> str:
    environment = template_environment(TEMPLATES)
    environment.globals |= {
        "notice_seconds": NOTICE_SECONDS,
        "max_restarts": MAX_RESTARTS,
        "interrupted_code": Interrupted.exit_code,
        "usr1_code": SIGUSR1_EXIT_CODE,
    }
    return environment.get_template(template).render(values)


def _quote(words: Iterable[str]) -> list[str]:
    return [shlex.quote(word) for word in words]
