"""Checks of the output and the work folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bids_shresnet.errors import Finding
from bids_shresnet.io.disk import disk_id, free_bytes, unwritable_reason
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.memory import work_bytes
from bids_shresnet.scans import Scan

# Output per byte of a compressed scan of 16-bit integers: it is written as floats, and with maps
OUTPUT_GROWTH_FACTOR = 3
GB = 1e9


def check_writable(folders: Sequence[Path]) -> list[Finding]:
    """Find folders in which nothing can be written."""
    remedy = "Name another folder, or ask for the right to write there."
    reasons = {folder: unwritable_reason(folder) for folder in folders}
    return [
        Finding.error(folder, f"cannot be written: {reason}", remedy)
        for folder, reason in reasons.items()
        if reason
    ]


def check_free_space(
    pairs: Sequence[Pair], scans: Sequence[Scan], output: Path, work: Path
) -> list[Finding]:
    """Compare free space with what training the pairs and harmonizing the scans will write."""
    if check_writable((output, work)):
        return []
    sizes = {disk_id(folder): 0.0 for folder in (output, work)}
    sizes[disk_id(output)] += output_bytes(scans)
    sizes[disk_id(work)] += sum(map(work_bytes, pairs))
    findings = []
    for folder in (output, work):
        size = sizes.pop(disk_id(folder), 0)  # folders of one disk share a finding
        free = free_bytes(folder)
        if size > free:
            value = f"about {size / GB:.1f} GB will be written, and {free / GB:.1f} GB are free"
            remedy = "Make room, or name another --work-dir or output."
            findings.append(Finding.warning(folder, value, remedy))
    return findings


def output_bytes(scans: Sequence[Scan]) -> float:
    """Estimate the size of harmonized scans in bytes."""
    return float(OUTPUT_GROWTH_FACTOR * sum(scan.image.stat().st_size for scan in scans))
