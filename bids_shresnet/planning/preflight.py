"""Preflight: checks of shells, disk space, protocols and image values before any work."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

from bids_shresnet.config import ModelSettings
from bids_shresnet.errors import Finding
from bids_shresnet.outputs.layout import has_output
from bids_shresnet.outputs.model.folder import has_model, models_folder
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.checks.folders import check_free_space
from bids_shresnet.planning.checks.images import ImageCheckJob, check_image
from bids_shresnet.planning.checks.protocols import Protocol, check_protocols
from bids_shresnet.planning.checks.shells import check_shells
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.scans import Scan

MAX_SEQUENTIAL_SCANS = 4  # scans that are read in the time that starting a process takes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PendingWork:
    """The work of a run.

    Attributes
    ----------
    pairs, scans
        Pairs to train, and scans to harmonize.
    output, work_dir
        Folders that are written to.
    protocols
        What the scans should be like.
    """

    pairs: tuple[Pair, ...]
    scans: tuple[Scan, ...]
    output: Path
    work_dir: Path
    protocols: tuple[Protocol, ...] = ()

    def drop_unreadable(self, broken: AbstractSet[str]) -> PendingWork:
        """Return the work without broken images, which are reported already."""
        pairs = tuple(pair for pair in self.pairs if broken.isdisjoint(_image_paths(pair)))
        scans = tuple(scan for scan in self.scans if str(scan.image) not in broken)
        return replace(self, pairs=pairs, scans=scans)


def skip_finished(pending: PendingWork) -> PendingWork:
    """Return the work without models and outputs that exist.

    Images that were checked before they were used need no second check by every job of an array.
    """
    models = models_folder(pending.output)
    pairs = tuple(pair for pair in pending.pairs if not has_model(models / pair.name))
    scans = tuple(scan for scan in pending.scans if not has_output(scan, pending.output))
    return replace(pending, pairs=pairs, scans=scans)


def run_preflight(
    pending: PendingWork,
    settings: ModelSettings,
    workers: Workers,
    subjects: Collection[str] = (),
    broken: AbstractSet[str] = frozenset(),
) -> list[Finding]:
    """Check shells, disk space and protocols, and read every scan that will be used.

    Parameters
    ----------
    pending
        The work of the run.
    settings
        Order of the harmonics, and whether missing shells are predicted.
    workers
        Processes that read the images.
    subjects
        Labels of the subjects whose images are read; all by default.
    broken
        Paths of images that are reported already, and not read.
    """
    findings = []
    for pair in pending.pairs:
        predict_missing = settings.predict_missing_shells
        findings += check_shells(pair, settings.sh_order, predict_missing=predict_missing)
    pending = pending.drop_unreadable(broken)
    findings += check_free_space(pending.pairs, pending.scans, pending.output, pending.work_dir)
    jobs = image_check_jobs(pending, subjects)
    findings += check_protocols([job.scan for job in jobs], pending.protocols)
    return findings + _check_images(jobs, workers)


def image_check_jobs(
    pending: PendingWork, subjects: Collection[str] = ()
) -> tuple[ImageCheckJob, ...]:
    """Return a job for each scan that is used, of all or of some subjects.

    The b-vectors are checked for one scan per scanner, that with most directions.
    """
    scans = {scan.image: scan for scan in (*_travelling_scans(pending.pairs), *pending.scans)}
    if subjects:
        scans = {image: scan for image, scan in scans.items() if scan.subject in subjects}
    checked = _scans_with_most_directions(scans.values())
    return tuple(ImageCheckJob(scan, should_check_bvecs=scan in checked) for scan in scans.values())


def _check_images(jobs: Sequence[ImageCheckJob], workers: Workers) -> list[Finding]:
    """Check images in processes; the findings come in the order of the jobs."""
    if not jobs:
        return []
    logger.info("%d scans are read through before any work", len(jobs))
    if len(jobs) <= MAX_SEQUENTIAL_SCANS:
        workers = replace(workers, processes=1)
    results = {job.scan.image: findings for job, findings in workers.run(check_image, jobs)}
    return [finding for job in jobs for finding in results[job.scan.image]]


def _travelling_scans(pairs: Iterable[Pair]) -> list[Scan]:
    """Return the scans that pairs train on."""
    scan_pairs = (scan_pair for pair in pairs for scan_pair in pair.travelling_scans)
    return [scan for scan_pair in scan_pairs for scan in scan_pair]


def _image_paths(pair: Pair) -> set[str]:
    """Return the paths of the images that a pair trains on."""
    return {str(scan.image) for scan in _travelling_scans([pair])}


def _scans_with_most_directions(scans: Iterable[Scan]) -> list[Scan]:
    """Return the scan with most directions of each scanner, then the first by name."""
    best: dict[str, Scan] = {}
    for scan in sorted(scans, key=lambda scan: (-scan.direction_count, scan.name)):
        best.setdefault(scan.scanner_label, scan)
    return list(best.values())
