"""Whether what a run writes has a place: the output and the work folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bids_shresnet.errors import Finding
from bids_shresnet.io.disk import disk_id, free_bytes, unwritable_reason
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.memory import work_bytes
from bids_shresnet.scans import Scan

OUTPUT_GROWTH_FACTOR = 3  # of a compressed scan of 16-bit integers: it comes out as floating-point numbers, and with maps
GB = 1e9


def check_writable(folders: Sequence[Path]) -> list[Finding]:
    """Find folders in which nothing can be written."""
    reasons = [(folder, unwritable_reason(folder)) for folder in dict.fromkeys(folders)]
    remedy = "Name another folder, or ask for the right to write there."
    return [
        Finding("error", str(folder), f"cannot be written: {reason}", remedy)
        for folder, reason in reasons
        if reason
    ]


def check_free_space(
    pairs: Sequence[Pair], scans: Sequence[Scan], output: Path, work: Path
) -> list[Finding]:
    """Compare the free space with an estimate of what training the pairs and harmonizing the scans will write."""
    if check_writable((output, work)):
        return []
    needed: dict[int, float] = {}
    for folder, size in ((output, output_bytes(scans)), (work, sum(map(work_bytes, pairs)))):
        needed[disk_id(folder)] = needed.get(disk_id(folder), 0) + size
    findings = []
    for folder in (output, work):
        size = needed.pop(disk_id(folder), 0)
        if size > free_bytes(folder):
            value = f"about {size / GB:.1f} GB will be written, and {free_bytes(folder) / GB:.1f} GB are free"
            findings.append(
                Finding(
                    "warning",
                    str(folder),
                    value,
                    "Make room, or name another --work-dir or output.",
                )
            )
    return findings


def output_bytes(scans: Sequence[Scan]) -> float:
    """Estimate the size of harmonized scans."""
    return float(OUTPUT_GROWTH_FACTOR * sum(scan.image.stat().st_size for scan in scans))
