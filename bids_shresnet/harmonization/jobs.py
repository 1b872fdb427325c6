"""Jobs of harmonizing: which scan, which model, which options."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_shresnet.errors import join_some
from bids_shresnet.harmonization.options import HarmonizeOptions, restrict_options
from bids_shresnet.inputs.load_scan import digest_scan
from bids_shresnet.io.storage import hash_record
from bids_shresnet.outputs.layout import ScanOutputs, harmonized_desc
from bids_shresnet.outputs.model.card import DatasetRecord, FoldRecord
from bids_shresnet.outputs.model.folder import Model, read_dataset_record
from bids_shresnet.pairs import ExcludedScan
from bids_shresnet.planning.requirements import Requirements
from bids_shresnet.scans import Scan
from bids_shresnet.version import __version__

MAX_LISTED_SUBJECTS = 8  # in a warning

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class HarmonizeJob:
    """One scan to harmonize.

    Attributes
    ----------
    outputs
        The scan and the paths of what is written.
    is_travelling
        Whether the scan is of a subject that the model was trained on. The fold that held the
        subject out is applied then, and the fit to all subjects to other scans.
    """

    outputs: ScanOutputs
    model_folder: Path
    is_travelling: bool
    options: HarmonizeOptions

    @property
    def scan(self) -> Scan:
        """The scan as measured."""
        return self.outputs.scan

    def select_fit(self, model: Model) -> FoldRecord:
        """Return the fit of the model that is applied to the scan."""
        return model.fit_for(self.scan.subject if self.is_travelling else None)


def make_harmonize_jobs(
    scans: Sequence[Scan],
    models: Sequence[Model],
    *,
    options: HarmonizeOptions,
    bids_dir: Path,
    root: Path,
) -> tuple[tuple[HarmonizeJob, ...], tuple[ExcludedScan, ...]]:
    """Make a job for each scan and each model of its scanner.

    Returns
    -------
    The jobs, and the scans that were measured with other shells than their model.
    """
    jobs: list[HarmonizeJob] = []
    excluded: list[ExcludedScan] = []
    dataset = read_dataset_record(bids_dir)
    targets = [model.target for model in models]
    for scan, model in _match_models(scans, models):
        if reason := Requirements.of_model(model).source_mismatch(scan):
            excluded.append(ExcludedScan.from_scan(scan, reason))
            continue
        job = HarmonizeJob(
            outputs=ScanOutputs(scan, root, harmonized_desc(model.target, targets)),
            model_folder=model.folder,
            is_travelling=model.is_travelling_subject(scan.subject, dataset, root),
            options=restrict_options(options, model),
        )
        jobs.append(job)
    _warn_of_changed_description(jobs, models, dataset)
    return tuple(jobs), tuple(excluded)


def _warn_of_changed_description(
    jobs: Sequence[HarmonizeJob], models: Sequence[Model], dataset: DatasetRecord
) -> None:
    """Warn if subjects are taken for travelling ones although the description has changed."""
    changed = {model.folder for model in models if model.card.dataset != dataset}
    doubtful = [job for job in jobs if job.is_travelling and job.model_folder in changed]
    if doubtful:
        subjects = sorted({f"sub-{job.scan.subject}" for job in doubtful})
        logger.warning(
            "dataset_description.json has changed since the training: %s are still taken for "
            "travelling subjects, and harmonized by networks that were trained without them",
            join_some(subjects, MAX_LISTED_SUBJECTS),
        )


def _match_models(scans: Sequence[Scan], models: Sequence[Model]) -> Iterator[tuple[Scan, Model]]:
    """Yield every scan with each model of its scanner."""
    for scan in scans:
        for model in models:
            if scan.scanner is not None and scan.scanner.label == model.source:
                yield scan, model


def digest_inputs(job: HarmonizeJob, model: Model) -> str:
    """Return the SHA-256 of everything that the output depends on."""
    options = job.options
    return hash_record(
        [
            __version__,
            digest_scan(job.scan),
            job.scan.metadata,
            model.digest,
            job.is_travelling,
            options.method,
            options.output_directions,
            options.noise,
            options.should_abstain,
            options.should_predict_missing,
            options.output_type,
        ]
    )
