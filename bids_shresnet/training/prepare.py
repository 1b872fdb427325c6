"""Prepare: the two scans of each travelling subject -> arrays in the work folder for training."""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bids_shresnet.inputs.load_scan import digest_scan
from bids_shresnet.io.arrays import read_array_record
from bids_shresnet.io.storage import hash_file, hash_record, hold_lock
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.pair_shells import PairShells
from bids_shresnet.runtime.leftovers import remove_leftovers
from bids_shresnet.scans import Scan, Shell
from bids_shresnet.training.match_scans import match_scans
from bids_shresnet.training.travelling_subjects import write_travelling_subject
from bids_shresnet.version import __version__


@dataclass(frozen=True)
class PrepareJob:
    """One travelling subject of one pair."""

    source: Scan
    target: Scan
    shells: PairShells
    folder: Path

    @cached_property  # it reads the scans, and every job that uses the subject needs it
    def digest(self) -> str:
        """Digest of everything that the result depends on."""
        travelling = (self.source, self.target)
        scans = [[*digest_scan(scan), *_digest_parcellation(scan)] for scan in travelling]
        shells = [_shell_inputs(group) for group in vars(self.shells).values()]
        return hash_record([__version__, scans, shells])


def prepare_jobs(pair: Pair, shells: PairShells, work: Path) -> tuple[PrepareJob, ...]:
    """Make one job per travelling subject."""
    return tuple(
        PrepareJob(source, target, shells, work / f"sub-{source.subject}")
        for source, target in pair.travelling_scans
    )


def repeat_scan_jobs(pair: Pair, shells: PairShells, work: Path) -> tuple[PrepareJob, ...]:
    """Make one job per subject with repeated scans on the target.

    Their difference holds the noise of two measurements.
    """
    target_shells = tuple(
        Shell(target.bvalue, source.sh_order, target.direction_count)
        for source, target in zip(shells.source, shells.target, strict=True)
    )
    both = PairShells(target_shells, target_shells)
    return tuple(
        PrepareJob(repeat, target, both, work / "repeats" / f"sub-{target.subject}")
        for repeat, target in pair.repeats
    )


def prepare_subject(job: PrepareJob) -> bool:
    """Register the subject's two scans and write the matched voxels; False if already done."""
    with hold_lock(job.folder):
        if is_prepared(job):
            return False
        remove_leftovers(job.folder)
        subject = match_scans(job.source, job.target, job.shells)
        record = {
            "inputs": job.digest,
            "source": str(job.source.image),
            "target": str(job.target.image),
            "quality": asdict(subject.quality) if subject.quality else {},
        }
        write_travelling_subject(job.folder, subject, record)
    return True


def is_prepared(job: PrepareJob) -> bool:
    """Return True if the result exists and was made from these scans."""
    record = read_array_record(job.folder)
    return record is not None and bool(record["inputs"] == job.digest)


def _digest_parcellation(scan: Scan) -> list[Any]:
    """Everything that the regions of a scan depend on."""
    parcellation = scan.parcellation
    if parcellation is None:
        return []
    return [hash_file(parcellation.path), sorted(parcellation.names.items())]


def _shell_inputs(shells: tuple[Shell, ...]) -> list[tuple[float | int, ...]]:
    return [astuple(shell) for shell in shells]
