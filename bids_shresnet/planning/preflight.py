"""Preflight: all that can be known to be wrong or odd before any work, beyond what discovery has found."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from bids_shresnet.config import ModelSettings
from bids_shresnet.errors import Finding
from bids_shresnet.outputs.layout import has_output
from bids_shresnet.outputs.model_folder import CARD_FILE
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.checks.folders import check_free_space
from bids_shresnet.planning.checks.images import ImageCheckJob, check_image
from bids_shresnet.planning.checks.shells import check_shells
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.scans import Scan

MAX_SEQUENTIAL_SCANS = 4  # scans that are read in the time that starting a process takes
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PendingWork:
    """The work of a run: what will be learned from and what will be harmonized, and where that is written."""

    pairs: tuple[Pair, ...]
    scans: tuple[Scan, ...]
    output: Path
    work_dir: Path

    def drop_unreadable(self, broken: Collection[str]) -> PendingWork:
        """Without what cannot be read, of which that is said already."""
        pairs = tuple(
            pair
            for pair in self.pairs
            if not any(str(s.image) in broken for s in chain(*pair.travelling_scans))
        )
        scans = tuple(scan for scan in self.scans if str(scan.image) not in broken)
        return replace(self, pairs=pairs, scans=scans)


def skip_finished(pending: PendingWork) -> PendingWork:
    """Leave out what an earlier run has done: models that are there, and scans of which there is an output.

    What was read through before it was used need not be read again by every job of an array.
    """
    pairs = tuple(
        pair
        for pair in pending.pairs
        if not (pending.output / "models" / pair.name / CARD_FILE).exists()
    )
    scans = tuple(scan for scan in pending.scans if not has_output(scan, pending.output))
    return PendingWork(pairs, scans, pending.output, pending.work_dir)


def run_preflight(
    pending: PendingWork,
    settings: ModelSettings,
    workers: Workers,
    subjects: Collection[str] = (),
    broken: Collection[str] = (),
) -> list[Finding]:
    """Check shells and space, and read every scan through that will be used, but images known to be `broken`.

    Once a scanner it is also seen whether the b-vectors fit the image. A dry run for some subjects, and their
    preparation, reads theirs only.
    """
    findings = [
        finding
        for pair in pending.pairs
        for finding in check_shells(
            pair, settings.sh_order, predict_missing=settings.predict_missing_shells
        )
    ]
    pending = pending.drop_unreadable(broken)
    findings += check_free_space(pending.pairs, pending.scans, pending.output, pending.work_dir)
    jobs = image_check_jobs(pending, subjects)
    if jobs:
        logger.info("%d scans are read through before any work", len(jobs))
        readers = workers if len(jobs) > MAX_SEQUENTIAL_SCANS else replace(workers, processes=1)
        found = {job.scan.image: some for job, some in readers.run(check_image, jobs)}
        findings += [finding for job in jobs for finding in found[job.scan.image]]
    return findings


def image_check_jobs(
    pending: PendingWork, subjects: Collection[str] = ()
) -> tuple[ImageCheckJob, ...]:
    """Each scan that is used, of some subjects or of all; of a scanner the one with most directions for its fibres."""
    used = {
        scan.image: scan
        for pair in pending.pairs
        for both in pair.travelling_scans
        for scan in both
    }
    used |= {scan.image: scan for scan in pending.scans}
    used = {image: scan for image, scan in used.items() if not subjects or scan.subject in subjects}
    looked_at = _scans_with_most_directions(tuple(used.values()))
    return tuple(
        ImageCheckJob(scan, should_check_bvecs=scan in looked_at) for scan in used.values()
    )


def _scans_with_most_directions(scans: Sequence[Scan]) -> list[Scan]:
    """For each scanner the scan with most directions, then the first by name."""
    best: dict[str, Scan] = {}
    for scan in sorted(scans, key=lambda scan: (-scan.direction_count, scan.name)):
        best.setdefault(scan.scanner_label, scan)
    return list(best.values())
