"""The work on a dataset as jobs of Slurm: their tasks, memory and time limits."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil

from bids_shresnet.cli.sbatch import (
    ALL_TASK_ARGUMENTS,
    FIRST_TASK_ARGUMENT,
    OTHER_TASK_ARGUMENTS,
    SlurmJob,
)
from bids_shresnet.config import Config
from bids_shresnet.pairs import ALL_SUBJECTS, Pair
from bids_shresnet.planning.memory import memory_for_pair, memory_for_scans, voxel_count
from bids_shresnet.planning.plan import Plan
from bids_shresnet.runtime.resources import MB
from bids_shresnet.scans import Scan
from bids_shresnet.settings import TrainingConfig

MAX_ARRAY_TASKS = 1000  # one less than Slurm's default MaxArraySize
MAX_EVALUATION_CPUS = 2  # the evaluation shares the folds among them
# Minutes of one core. They are four times what was measured (docs/experiments.md), because a job
# that is stopped at its limit waits in the queue again.
MIN_LIMIT_MINUTES = 30
MAX_LIMIT_MINUTES = 24 * 60
MINUTES_PER_MILLION_VOXELS = 60.0  # to register or harmonize a scan
MINUTES_PER_VOXEL_EPOCH = 50 / 800_000  # to train the network and fit all baselines
MINUTES_PER_EVALUATED_FOLD = 15.0


def make_jobs(plan: Plan, config: Config) -> tuple[SlurmJob, ...]:
    """Make the jobs of all stages; if models exist, only the last stage is left."""
    harmonize = make_harmonize_job(plan, is_spooled=config.resource.low_mem)
    if not plan.pairs:
        return (harmonize,)
    training = TrainingJobs(plan.pairs, config.training, is_spooled=config.resource.low_mem)
    return (training.prepare_job, training.train_job, training.evaluate_job, harmonize)


def make_harmonize_job(plan: Plan, *, is_spooled: bool) -> SlurmJob:
    """Make the job that harmonizes all scans of one or several subjects per task.

    Scans of a target are not harmonized, and get maps by the same command.
    """
    scans = plan.selection.written_scans
    tasks = _group_subjects(sorted({scan.subject for scan in scans}))
    pair_flags = [f"--pair {shlex.quote(pair.label)}" for pair in plan.pairs]
    flags = [*pair_flags, f"--participant-label {ALL_TASK_ARGUMENTS}"]
    return SlurmJob(
        name="participant",
        comment="Harmonize all scans of some subjects.",
        arguments=f"participant {' '.join(flags)}",
        task_arguments=tasks,
        cpus=1,
        memory_mb=ceil(memory_for_scans(scans, is_spooled=is_spooled) / MB),
        minutes=time_limit(len(tasks[0]) * minutes_per_scan(scans)),
    )


def _group_subjects(subjects: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Group subjects into at most as many tasks as an array may have, the first ones full."""
    size = ceil(len(subjects) / MAX_ARRAY_TASKS)
    starts = range(0, len(subjects), size)
    return tuple(tuple(subjects[start : start + size]) for start in starts)


@dataclass(frozen=True)
class TrainingJobs:
    """The jobs that make the models of pairs.

    `is_spooled` tells that DWI data are kept in files and not in memory.
    """

    pairs: tuple[Pair, ...]
    training: TrainingConfig
    is_spooled: bool

    @property
    def prepare_job(self) -> SlurmJob:
        """Each task registers the two scans of one travelling subject."""
        tasks = []
        for pair in self.pairs:
            tasks += [(pair.label, source.subject) for source, _ in pair.travelling_scans]
        return SlurmJob(
            name="prepare",
            comment="Register the two scans of one travelling subject.",
            arguments=f"group --stage prepare --pair {FIRST_TASK_ARGUMENT} "
            f"--participant-label {OTHER_TASK_ARGUMENTS}",
            task_arguments=tuple(tasks),
            cpus=1,
            memory_mb=ceil(memory_for_scans(self.scans, is_spooled=self.is_spooled) / MB),
            minutes=time_limit(minutes_per_scan(self.scans)),
        )

    @property
    def train_job(self) -> SlurmJob:
        """Each task trains one fold of a pair, or the fit to all subjects."""
        epochs = self.training.max_epochs
        return SlurmJob(
            name="train",
            comment="Train one fold of a pair, and fit its baselines; fold 0 holds out nobody.",
            arguments=f"group --stage train --pair {FIRST_TASK_ARGUMENT} "
            f"--fold {OTHER_TASK_ARGUMENTS}",
            task_arguments=self.folds,
            cpus=1,
            memory_mb=self.fold_memory_mb,
            minutes=time_limit(MINUTES_PER_VOXEL_EPOCH * self.voxels_per_epoch * epochs),
        )

    @property
    def evaluate_job(self) -> SlurmJob:
        """A single task evaluates all folds."""
        pair_flags = [f"--pair {shlex.quote(pair.label)}" for pair in self.pairs]
        cpus = min(MAX_EVALUATION_CPUS, max(map(self.fold_count, self.pairs)))
        return SlurmJob(
            name="evaluate",
            comment="Evaluate all folds on their held-out subjects, and write the models.",
            arguments=f"group --stage evaluate {' '.join(pair_flags)}",
            task_arguments=(),
            cpus=cpus,
            memory_mb=cpus * self.fold_memory_mb,
            minutes=time_limit(MINUTES_PER_EVALUATED_FOLD * len(self.folds)),
        )

    @cached_property
    def scans(self) -> tuple[Scan, ...]:
        """All scans of travelling subjects, repeated scans included."""
        scans: list[Scan] = []
        for pair in self.pairs:
            for couple in (*pair.travelling_scans, *pair.repeats):
                scans += couple
        return tuple(scans)

    @cached_property
    def folds(self) -> tuple[tuple[str, str], ...]:
        """Pair and number of each fold, and of the fit to all subjects."""
        folds = []
        for pair in self.pairs:
            numbers = range(ALL_SUBJECTS, self.fold_count(pair) + 1)
            folds += [(pair.label, str(number)) for number in numbers]
        return tuple(folds)

    def fold_count(self, pair: Pair) -> int:
        """Return the number of folds of a pair: at most one per travelling subject."""
        return min(self.training.folds, len(pair.travelling_scans))

    @cached_property
    def fold_memory_mb(self) -> int:
        """MB that fitting or evaluating a fold takes."""
        return ceil(max(memory_for_pair(pair, self.training) for pair in self.pairs) / MB)

    @property
    def voxels_per_epoch(self) -> int:
        """Voxels of an epoch, at most: all of them, unless a number is drawn."""
        subject_count = max(len(pair.travelling_scans) for pair in self.pairs)
        return self.training.voxels_per_epoch or subject_count * max(map(voxel_count, self.scans))


def minutes_per_scan(scans: Sequence[Scan]) -> float:
    """Return the minutes that the largest scan takes to be registered or harmonized."""
    return MINUTES_PER_MILLION_VOXELS * max(map(voxel_count, scans)) / 1e6


def time_limit(minutes: float) -> int:
    """Return a time limit in minutes for work that takes so long."""
    return min(MAX_LIMIT_MINUTES, MIN_LIMIT_MINUTES + ceil(minutes))
