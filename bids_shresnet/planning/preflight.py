"""Preflight: checks of shells, disk space, protocols and image values before any work."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

from bids_shresnet.config import ModelSettings
from bids_shresnet.errors import Finding, pluralize
from bids_shresnet.outputs.model.folder import has_model, models_folder
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.checks.folders import check_free_space
from bids_shresnet.planning.checks.images import ImageCheckJob, check_image
from bids_shresnet.planning.checks.protocols import Protocol, check_protocols
from bids_shresnet.planning.checks.shells import check_shells
from bids_shresnet.planning.finished import has_maps, is_harmonized
from bids_shresnet.planning.requirements import Requirements
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.scans import Scan

UNREAD_VALUE = "none was read, because the content of some is not here"
UNREAD_REMEDY = "Values, protocols and b-vectors are checked once all are fetched."
MAX_SEQUENTIAL_SCANS = 4  # scans that are read in the time that starting a process takes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PendingWork:
    """The work of a run.

    Attributes
    ----------
    pairs, scans, target_scans
        Pairs to train, scans to harmonize, and scans of their targets to make maps of.
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
    target_scans: tuple[Scan, ...] = ()

    @property
    def used_scans(self) -> tuple[Scan, ...]:
        """All scans that a step will read."""
        return (*_travelling_scans(self.pairs), *self.scans, *self.target_scans)

    def drop_unreadable(self, broken: AbstractSet[str]) -> PendingWork:
        """Return the work without broken images, which are reported already."""
        pairs = tuple(pair for pair in self.pairs if broken.isdisjoint(_image_paths(pair)))
        scans = tuple(scan for scan in self.scans if str(scan.image) not in broken)
        targets = tuple(scan for scan in self.target_scans if str(scan.image) not in broken)
        return replace(self, pairs=pairs, scans=scans, target_scans=targets)


def skip_finished(pending: PendingWork, requirements: Sequence[Requirements]) -> PendingWork:
    """Return the work without models and outputs that exist.

    Images that were checked before they were used need no second check by every job of an array.
    """
    root = pending.output
    models = models_folder(root)
    pairs = tuple(pair for pair in pending.pairs if not has_model(models / pair.name))
    scans = (scan for scan in pending.scans if not is_harmonized(scan, requirements, root))
    targets = (scan for scan in pending.target_scans if not has_maps(scan, requirements, root))
    return replace(pending, pairs=pairs, scans=tuple(scans), target_scans=tuple(targets))


def run_preflight(
    pending: PendingWork,
    settings: ModelSettings,
    workers: Workers,
    subjects: Collection[str] = (),
    broken: AbstractSet[str] = frozenset(),
    *,
    should_read: bool = True,
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
    should_read
        Whether images are read: not before the content of all is here, so that it takes seconds to
        learn what to fetch.
    """
    findings = []
    for pair in pending.pairs:
        predict_missing = settings.predict_missing_shells
        findings += check_shells(pair, settings.sh_order, predict_missing=predict_missing)
    pending = pending.drop_unreadable(broken)
    findings += check_free_space(pending.pairs, pending.scans, pending.output, pending.work_dir)
    if not should_read:
        return [*findings, Finding.note("the images", UNREAD_VALUE, UNREAD_REMEDY)]
    jobs = image_check_jobs(pending, subjects)
    findings += check_protocols([job.scan for job in jobs], pending.protocols)
    return findings + _check_images(jobs, workers)


def image_check_jobs(
    pending: PendingWork, subjects: Collection[str] = ()
) -> tuple[ImageCheckJob, ...]:
    """Return a job for each scan that is used, of all or of some subjects."""
    scans = {scan.image: scan for scan in pending.used_scans}
    if subjects:
        scans = {image: scan for image, scan in scans.items() if scan.subject in subjects}
    return tuple(map(ImageCheckJob, scans.values()))


def _check_images(jobs: Sequence[ImageCheckJob], workers: Workers) -> list[Finding]:
    """Check images in processes; the findings come in the order of the jobs."""
    if not jobs:
        return []
    logger.info("reading %d %s before any work", len(jobs), pluralize("scan", len(jobs)))
    if len(jobs) <= MAX_SEQUENTIAL_SCANS:
        workers = replace(workers, processes=1)
    results = {job.scan.image: findings for job, findings in workers.run(check_image, jobs)}
    return [finding for job in jobs for finding in results[job.scan.image]]


def _travelling_scans(pairs: Iterable[Pair]) -> list[Scan]:
    """Return the scans that pairs train on, and repeats that they are validated with."""
    scans: list[Scan] = []
    for pair in pairs:
        for scan_pair in (*pair.travelling_scans, *pair.repeats):
            scans += scan_pair
    return scans


def _image_paths(pair: Pair) -> set[str]:
    """Return the paths of the images that a pair trains on."""
    return {str(scan.image) for scan in _travelling_scans([pair])}
