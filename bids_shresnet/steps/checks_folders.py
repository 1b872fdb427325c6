"""Whether what a run writes has a place: the output and the work folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_shresnet.diffusion.harmonics import order_for
from bids_shresnet.errors import Finding
from bids_shresnet.files.series import read_grid
from bids_shresnet.files.space import disk_of, free_bytes, why_not_writable
from bids_shresnet.scans import Pair, Scan, Shell

GROWTH = 3  # of a compressed scan of 16-bit integers: it comes out as floating-point numbers, and with maps
BRAIN_MM3 = 1.8e6  # a large brain, and what touches it
NEIGHBOURS = 27  # of a patch
NUMBER = 4  # bytes
GB = 1e9


def unwritable(folders: Sequence[Path]) -> list[Finding]:
    """Find folders in which nothing can be written."""
    reasons = [(folder, why_not_writable(folder)) for folder in dict.fromkeys(folders)]
    remedy = "Name another folder, or ask for the right to write there."
    return [
        Finding("error", str(folder), f"cannot be written: {reason}", remedy) for folder, reason in reasons if reason
    ]


def space_faults(pairs: Sequence[Pair], scans: Sequence[Scan], output: Path, work: Path) -> list[Finding]:
    """Compare the free space with an estimate of what training the pairs and harmonizing the scans will write."""
    if unwritable((output, work)):
        return []
    needed: dict[int, float] = {}
    for folder, size in ((output, output_bytes(scans)), (work, sum(map(work_bytes, pairs)))):
        needed[disk_of(folder)] = needed.get(disk_of(folder), 0) + size
    findings = []
    for folder in (output, work):
        size = needed.pop(disk_of(folder), 0)
        if size > free_bytes(folder):
            value = f"about {size / GB:.1f} GB will be written, and {free_bytes(folder) / GB:.1f} GB are free"
            findings.append(Finding("warning", str(folder), value, "Make room, or name another --work-dir or output."))
    return findings


def output_bytes(scans: Sequence[Scan]) -> float:
    """Estimate the size of harmonized scans."""
    return float(GROWTH * sum(scan.image.stat().st_size for scan in scans))


def work_bytes(pair: Pair) -> float:
    """Estimate the size of what the travelling subjects of a pair teach: for each voxel a patch and its label."""
    _, target = pair.travelling[0]
    _, affine = read_grid(target.image)
    coefficients = Shell(0.0, order_for(target.directions)).coefficients
    numbers = NEIGHBOURS * (coefficients + 1) + 2 * target.directions
    return float(len(pair.travelling) * NUMBER * numbers * BRAIN_MM3 / np.prod(nib.affines.voxel_sizes(affine)))
