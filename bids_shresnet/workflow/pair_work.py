"""The units of work of a scanner pair: what is prepared, what is fitted, where it lies, and what of it is done."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bids_shresnet.config import Config
from bids_shresnet.diffusion.shells import PairShells, match_pair_shells
from bids_shresnet.outputs.model_folder import CARD_FILE, Model, read_model
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.memory import memory_for_fitting
from bids_shresnet.scans import Shell
from bids_shresnet.training.folds import (
    FoldJob,
    baseline_jobs,
    baseline_methods,
    missing_shell_baselines,
    missing_shell_jobs,
    model_fold_jobs,
    sweep_jobs,
)
from bids_shresnet.training.prepare import PrepareJob, is_prepared, prepare_jobs, repeat_scan_jobs
from bids_shresnet.training.train_fold import is_fitted


@dataclass(frozen=True)
class PairWork:
    """All that one pair needs; every unit is a command that can run alone, and is skipped where it is done."""

    pair: Pair
    config: Config
    root: Path

    @property
    def model_folder(self) -> Path:
        """Of the model."""
        return self.root / "models" / self.pair.name

    @property
    def work_folder(self) -> Path:
        """Where that is kept which is needed until the model is complete."""
        return (self.config.output.work_dir or self.root / ".work") / self.pair.name

    @property
    def should_validate(self) -> bool:
        """Whether the model is to be cross-validated."""
        return self.config.run.analysis_level == "group" and self.config.model.validation

    @cached_property
    def existing_model(self) -> Model | None:
        """The model that an earlier run has left."""
        return read_model(self.model_folder) if (self.model_folder / CARD_FILE).exists() else None

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to do."""
        return self.existing_model is not None and (
            self.existing_model.card.validation is not None or not self.should_validate
        )

    @cached_property
    def shells(self) -> PairShells:
        """Which shells of the two scanners are partners."""
        return match_pair_shells(
            self.pair,
            self.config.model.sh_order,
            should_predict_missing=self.config.model.predict_missing_shells,
        )

    @cached_property
    def subject_jobs(self) -> tuple[PrepareJob, ...]:
        """Every travelling subject's two scans."""
        return prepare_jobs(self.pair, self.shells, self.work_folder)

    @cached_property
    def repeat_scan_jobs(self) -> tuple[PrepareJob, ...]:
        """The target's own repeated scans, for the cross-validation."""
        return (
            repeat_scan_jobs(self.pair, self.shells, self.work_folder)
            if self.should_validate
            else ()
        )

    @cached_property
    def folds(self) -> tuple[FoldJob, ...]:
        """The model's own."""
        return model_fold_jobs(
            self.model_folder,
            self.subject_jobs,
            self._source_shells,
            self.config.fit,
            self.config.model.method,
        )

    @cached_property
    def missing_shell_folds(self) -> tuple[FoldJob, ...]:
        """The same folds for the shells that the source lacks, if these are to be predicted."""
        shells = self.existing_model.missing_shells if self.existing_model else self.shells.missing
        return (
            missing_shell_jobs(self.folds, shells)
            if self.config.model.predict_missing_shells
            else ()
        )

    @cached_property
    def baselines(self) -> tuple[FoldJob, ...]:
        """The same folds for the methods that the model is compared with."""
        own = self.existing_model.card.fitted_as if self.existing_model else self.folds[0].method
        methods = baseline_methods(self.config.model.methods, own)
        return baseline_jobs(
            self.work_folder, self.subject_jobs, self._source_shells, self.config.fit, methods
        )

    @cached_property
    def sweep(self) -> tuple[FoldJob, ...]:
        """The same folds with other numbers of ResBlocks, if that was asked for."""
        return sweep_jobs(
            self.work_folder,
            self.subject_jobs,
            self._source_shells,
            self.config.fit,
            self.config.model.resblocks,
        )

    @cached_property
    def missing_shell_baselines(self) -> tuple[FoldJob, ...]:
        """The same folds of what the predicted shells are compared with."""
        return missing_shell_baselines(self.work_folder, self.missing_shell_folds)

    @property
    def fold_jobs_to_run(self) -> tuple[FoldJob, ...]:
        """All that is left to fit, done or not."""
        own = () if self.existing_model else (*self.folds, *self.missing_shell_folds)
        compared = (
            (*self.baselines, *self.sweep, *self.missing_shell_baselines)
            if self.should_validate and not self.is_complete
            else ()
        )
        return (*own, *compared)

    @property
    def unprepared_jobs(self) -> tuple[PrepareJob, ...]:
        """Subjects that are not prepared, or were prepared from other scans."""
        return tuple(
            job for job in (*self.subject_jobs, *self.repeat_scan_jobs) if not is_prepared(job)
        )

    @property
    def unfitted_jobs(self) -> tuple[FoldJob, ...]:
        """What is not fitted, or was fitted on other data or in another way."""
        return tuple(job for job in self.fold_jobs_to_run if not is_fitted(job))

    @property
    def memory_needed(self) -> int:
        """Bytes that fitting or evaluating a harmonizer takes, once all are prepared."""
        return memory_for_fitting(job.folder for job in self.subject_jobs)

    @property
    def _source_shells(self) -> tuple[Shell, ...]:
        """The source's shells, as the model has them if there is one."""
        return self.existing_model.source_shells if self.existing_model else self.shells.source
