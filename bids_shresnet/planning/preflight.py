"""Preflight: all that can be known to be wrong or odd before any work, beyond what discovery has found."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from bids_shresnet.config import Config
from bids_shresnet.errors import Finding
from bids_shresnet.outputs.layout import begun
from bids_shresnet.outputs.model_folder import CARD
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.checks.folders import space_faults
from bids_shresnet.planning.checks.images import ReadJob, read_through
from bids_shresnet.planning.checks.shells import shell_faults
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.scans import Scan

FEW = 4  # scans that are read in the time that starting a process takes
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ahead:
    """The work of a run: what will be learned from and what will be harmonized, and where that is written."""

    pairs: tuple[Pair, ...]
    scans: tuple[Scan, ...]
    output: Path
    work: Path

    def readable(self, broken: Collection[str]) -> Ahead:
        """Without what cannot be read, of which that is said already."""
        pairs = tuple(pair for pair in self.pairs if not any(str(s.image) in broken for s in chain(*pair.travelling)))
        scans = tuple(scan for scan in self.scans if str(scan.image) not in broken)
        return replace(self, pairs=pairs, scans=scans)


def still_ahead(ahead: Ahead) -> Ahead:
    """Leave out what an earlier run has done: models that are there, and scans of which there is an output.

    What was read through before it was used need not be read again by every job of an array.
    """
    pairs = tuple(pair for pair in ahead.pairs if not (ahead.output / "models" / pair.name / CARD).exists())
    scans = tuple(scan for scan in ahead.scans if not begun(scan, ahead.output))
    return Ahead(pairs, scans, ahead.output, ahead.work)


def preflight(ahead: Ahead, config: Config, workers: Workers, broken: Collection[str] = ()) -> list[Finding]:
    """Check shells and space, and read every scan through that will be used, but images known to be `broken`.

    Once a scanner it is also seen whether the b-vectors fit the image. A dry run for some subjects, and their
    preparation, reads theirs only.
    """
    findings = [
        finding
        for pair in ahead.pairs
        for finding in shell_faults(pair, config.sh_order, predict_missing=config.predict_missing_shells)
    ]
    ahead = ahead.readable(broken)
    findings += space_faults(ahead.pairs, ahead.scans, ahead.output, ahead.work)
    jobs = read_jobs(ahead, config.participant_label if config.dry_run or config.stage == "prepare" else ())
    if jobs:
        logger.info("%d scans are read through before any work", len(jobs))
        readers = workers if len(jobs) > FEW else replace(workers, processes=1)
        found = {job.scan.image: some for job, some in readers.run(read_through, jobs)}
        findings += [finding for job in jobs for finding in found[job.scan.image]]
    return findings


def read_jobs(ahead: Ahead, subjects: Collection[str] = ()) -> tuple[ReadJob, ...]:
    """Each scan that is used, of some subjects or of all; of a scanner the one with most directions for its fibres."""
    used = {scan.image: scan for pair in ahead.pairs for both in pair.travelling for scan in both}
    used |= {scan.image: scan for scan in ahead.scans}
    used = {image: scan for image, scan in used.items() if not subjects or scan.subject in subjects}
    looked_at = _most_directions(tuple(used.values()))
    return tuple(ReadJob(scan, fibres=scan in looked_at) for scan in used.values())


def _most_directions(scans: Sequence[Scan]) -> list[Scan]:
    """For each scanner the scan with most directions, then the first by name."""
    best: dict[str, Scan] = {}
    for scan in sorted(scans, key=lambda scan: (-scan.directions, scan.name)):
        best.setdefault(scan.scanner_label, scan)
    return list(best.values())
