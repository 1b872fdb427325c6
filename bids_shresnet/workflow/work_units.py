"""The units of work of a scanner pair: what is prepared, what is fitted, where it lies, and what of it is done."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bids_shresnet.config import Config
from bids_shresnet.diffusion.shells import PairShells, pair_shells
from bids_shresnet.outputs.model_folder import CARD, Model, read_model
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.memory import of_arrays
from bids_shresnet.scans import Shell
from bids_shresnet.training.folds import FoldJob, baseline_jobs, fold_jobs, missing_jobs, rivals, sweep_jobs
from bids_shresnet.training.prepare import PrepareJob, is_prepared, prepare_jobs, repeat_jobs
from bids_shresnet.training.train import is_fitted


@dataclass(frozen=True)
class Units:
    """All that one pair needs; every unit is a command that can run alone, and is skipped where it is done."""

    pair: Pair
    config: Config
    root: Path

    @property
    def folder(self) -> Path:
        """Of the model."""
        return self.root / "models" / self.pair.name

    @property
    def work(self) -> Path:
        """Where that is kept which is needed until the model is complete."""
        return (self.config.work_dir or self.root / ".work") / self.pair.name

    @property
    def proving(self) -> bool:
        """Whether the model is to be cross-validated."""
        return self.config.analysis_level == "group" and self.config.proof

    @cached_property
    def known(self) -> Model | None:
        """The model that an earlier run has left."""
        return read_model(self.folder) if (self.folder / CARD).exists() else None

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return self.known is not None and (bool(self.known.proof) or not self.proving)

    @cached_property
    def shells(self) -> PairShells:
        """Which shells of the two scanners are partners."""
        return pair_shells(self.pair, self.config.sh_order, predict_missing=self.config.predict_missing_shells)

    @cached_property
    def subjects(self) -> tuple[PrepareJob, ...]:
        """Every travelling subject's two scans."""
        return prepare_jobs(self.pair, self.shells, self.work)

    @cached_property
    def repeats(self) -> tuple[PrepareJob, ...]:
        """The target's own repeated scans, for the proof."""
        return repeat_jobs(self.pair, self.shells, self.work) if self.proving else ()

    @cached_property
    def folds(self) -> tuple[FoldJob, ...]:
        """The model's own."""
        return fold_jobs(self.folder, self.subjects, self._source, self.config)

    @cached_property
    def missing(self) -> tuple[FoldJob, ...]:
        """The same folds for the shells that the source lacks, if these are to be predicted."""
        shells = self.known.missing_shells if self.known else self.shells.missing
        return missing_jobs(self.folds, shells) if self.config.predict_missing_shells else ()

    @cached_property
    def baselines(self) -> tuple[FoldJob, ...]:
        """The same folds for the methods that the model is compared with."""
        own = self.known.card["FittedAs"] if self.known else self.folds[0].method
        return baseline_jobs(self.work, self.subjects, self._source, self.config, own)

    @cached_property
    def sweep(self) -> tuple[FoldJob, ...]:
        """The same folds with other numbers of ResBlocks, if that was asked for."""
        return sweep_jobs(self.work, self.subjects, self._source, self.config)

    @cached_property
    def rivals(self) -> tuple[FoldJob, ...]:
        """The same folds of what the predicted shells are compared with."""
        return rivals(self.work, self.missing)

    @property
    def fits(self) -> tuple[FoldJob, ...]:
        """All that is left to fit, done or not."""
        own = () if self.known else (*self.folds, *self.missing)
        compared = (*self.baselines, *self.sweep, *self.rivals) if self.proving and not self.complete else ()
        return (*own, *compared)

    @property
    def unprepared(self) -> tuple[PrepareJob, ...]:
        """Subjects that are not prepared, or were prepared from other scans."""
        return tuple(job for job in (*self.subjects, *self.repeats) if not is_prepared(job))

    @property
    def unfitted(self) -> tuple[FoldJob, ...]:
        """What is not fitted, or was fitted on other data or in another way."""
        return tuple(job for job in self.fits if not is_fitted(job))

    @property
    def need(self) -> int:
        """Bytes that fitting or judging a harmonizer takes, once all are prepared."""
        return of_arrays(job.folder for job in self.subjects)

    @property
    def _source(self) -> tuple[Shell, ...]:
        """The source's shells, as the model has them if there is one."""
        return self.known.source_shells if self.known else self.shells.source
