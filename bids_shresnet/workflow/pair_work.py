"""The jobs that make the model of a scanner pair, the folders they use, and which are done."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from bids_shresnet.config import Config
from bids_shresnet.io.storage import hash_record
from bids_shresnet.outputs.model.folder import Model, has_model, models_folder, read_model
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.demands import should_validate
from bids_shresnet.planning.memory import memory_for_fitting, memory_for_scans
from bids_shresnet.planning.pair_shells import PairShells, match_pair_shells
from bids_shresnet.scans import Shell
from bids_shresnet.settings import Method
from bids_shresnet.training.exclusions import failure_reason
from bids_shresnet.training.fold_jobs import (
    all_subjects_job,
    baseline_jobs,
    baseline_methods,
    missing_shell_baselines,
    missing_shell_jobs,
    model_fold_jobs,
    sweep_jobs,
    target_denoiser_job,
)
from bids_shresnet.training.folds import FoldJob
from bids_shresnet.training.prepare import PrepareJob, is_prepared, prepare_jobs, repeat_scan_jobs
from bids_shresnet.training.train_fold import is_fitted

HASH_DIGITS = 8  # of a hash in the name of a folder


@dataclass(frozen=True)
class PairWork:
    """All jobs of one pair; each can run alone, and is skipped once its result exists."""

    pair: Pair
    config: Config
    root: Path

    @property
    def model_folder(self) -> Path:
        """Folder of the model."""
        return models_folder(self.root) / self.pair.name

    @property
    def work_folder(self) -> Path:
        """Folder for intermediate files, kept until the model is complete.

        Outputs may share a --work-dir. Each has a folder in it, because a fit reads files here all
        the time, and those of another run were made from other data or with other settings.
        """
        work_dir = self.config.output.work_dir
        if work_dir is None:
            return self.root / ".work" / self.pair.name
        output = hash_record(self.root.absolute())[:HASH_DIGITS]
        return work_dir / f"shresnet-{output}" / self.pair.name

    @property
    def should_validate(self) -> bool:
        """True if the model is to be cross-validated."""
        return should_validate(self.config)

    @cached_property
    def existing_model(self) -> Model | None:
        """The model of an earlier run."""
        return read_model(self.model_folder) if has_model(self.model_folder) else None

    @property
    def is_complete(self) -> bool:
        """True if the model exists and, if requested, was cross-validated."""
        if self.existing_model is None:
            return False
        return self.existing_model.is_validated or not self.should_validate

    @cached_property
    def shells(self) -> PairShells:
        """Matched and missing shells of the two scanners."""
        return match_pair_shells(
            self.pair,
            self.config.model.sh_order,
            should_predict_missing=self.config.model.predict_missing_shells,
        )

    @property
    def _source_shells(self) -> tuple[Shell, ...]:
        """Shells of the source, as in the existing model if there is one."""
        return self.existing_model.source_shells if self.existing_model else self.shells.source

    @property
    def prepared_folder(self) -> Path:
        """Folder of the prepared subjects, one for each set of shells.

        A bad head may have set the shells. What was prepared with these shows that it is bad, and
        stays beside what the others are then prepared with.
        """
        return self.work_folder / f"shells-{hash_record(asdict(self.shells))[:HASH_DIGITS]}"

    @cached_property
    def subject_jobs(self) -> tuple[PrepareJob, ...]:
        """Jobs that prepare the two scans of each travelling subject."""
        return prepare_jobs(self.pair, self.shells, self.prepared_folder)

    @cached_property
    def repeat_scan_jobs(self) -> tuple[PrepareJob, ...]:
        """Jobs that prepare repeated scans on the target scanner, for the cross-validation."""
        if not self.should_validate:
            return ()
        return repeat_scan_jobs(self.pair, self.shells, self.prepared_folder)

    @cached_property
    def folds(self) -> tuple[FoldJob, ...]:
        """Jobs that fit the model."""
        return model_fold_jobs(
            self.model_folder,
            self.subject_jobs,
            self._source_shells,
            self.config.fit,
            self.config.model.method,
        )

    @cached_property
    def all_subjects(self) -> FoldJob:
        """Job of the fit to all subjects, which is applied to new ones."""
        return all_subjects_job(self.folds)

    @property
    def fits(self) -> tuple[FoldJob, ...]:
        """The folds, and the fit to all subjects."""
        return (*self.folds, self.all_subjects)

    @cached_property
    def missing_shell_fits(self) -> tuple[FoldJob, ...]:
        """Jobs that fit the prediction of missing shells to the same subjects."""
        if not self.config.model.predict_missing_shells:
            return ()
        shells = self.existing_model.missing_shells if self.existing_model else self.shells.missing
        return missing_shell_jobs(self.fits, shells)

    @cached_property
    def target_denoiser(self) -> FoldJob | None:
        """Job that fits the network that denoises the target's scans."""
        return target_denoiser_job(self.model_folder, self.subject_jobs, self.config.fit)

    @property
    def methods(self) -> tuple[Method, ...]:
        """Methods to compare: denoising needs enough directions for two halves."""
        methods = self.config.model.methods
        if self.shells.source_halves:
            return methods
        return tuple(method for method in methods if method != "denoised")

    @cached_property
    def baselines(self) -> tuple[FoldJob, ...]:
        """Jobs that fit the baselines on the same folds."""
        own = self.existing_model.card.fitted_as if self.existing_model else self.folds[0].method
        methods = baseline_methods(self.methods, own)
        return baseline_jobs(
            self.work_folder, self.subject_jobs, self._source_shells, self.config.fit, methods
        )

    @cached_property
    def sweep(self) -> tuple[FoldJob, ...]:
        """Jobs that fit networks with other numbers of ResBlocks on the same folds."""
        return sweep_jobs(
            self.work_folder,
            self.subject_jobs,
            self._source_shells,
            self.config.fit,
            self.config.model.resblocks,
        )

    @cached_property
    def missing_shell_baselines(self) -> tuple[FoldJob, ...]:
        """Jobs that fit the baseline of missing shells on the same folds."""
        return missing_shell_baselines(self.work_folder, self.missing_shell_folds)

    @property
    def missing_shell_folds(self) -> tuple[FoldJob, ...]:
        """Those of `missing_shell_fits` that hold out a subject."""
        return tuple(job for job in self.missing_shell_fits if job.split.test)

    @property
    def model_jobs(self) -> tuple[FoldJob, ...]:
        """All jobs that fit a part of the model."""
        denoiser = (self.target_denoiser,) if self.target_denoiser else ()
        return (*self.fits, *self.missing_shell_fits, *denoiser)

    @property
    def fold_jobs_to_run(self) -> tuple[FoldJob, ...]:
        """All jobs that fit something for the outputs that do not exist yet."""
        jobs: list[FoldJob] = []
        if not self.existing_model:
            jobs += self.model_jobs
        if self.should_validate and not self.is_complete:
            jobs += [*self.baselines, *self.sweep, *self.missing_shell_baselines]
        return tuple(jobs)

    @property
    def all_prepare_jobs(self) -> tuple[PrepareJob, ...]:
        """All jobs that prepare scans."""
        return (*self.subject_jobs, *self.repeat_scan_jobs)

    @property
    def unprepared_jobs(self) -> tuple[PrepareJob, ...]:
        """Jobs of subjects that were not tried, or were prepared from other scans."""
        jobs = self.all_prepare_jobs
        return tuple(job for job in jobs if not is_prepared(job) and not failure_reason(job))

    @property
    def unfitted_jobs(self) -> tuple[FoldJob, ...]:
        """Jobs that are not fitted, or were fitted to other data or with other settings."""
        return tuple(job for job in self.fold_jobs_to_run if not is_fitted(job))

    @property
    def memory_needed(self) -> int:
        """Bytes that fitting or evaluating a harmonizer takes, once all subjects are prepared."""
        folders = [job.folder for job in self.subject_jobs]
        return memory_for_fitting(folders, self.config.fit.training)

    @property
    def evaluation_memory(self) -> int:
        """Bytes that evaluating takes, which harmonizes scans as well."""
        sources = [job.source for job in self.subject_jobs]
        is_spooled = self.config.resource.low_mem
        return self.memory_needed + memory_for_scans(sources, is_spooled=is_spooled)
