"""Scans whose outputs exist, up to date or not: what marks them as complete is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bids_shresnet.outputs.layout import ScanOutputs, harmonized_desc
from bids_shresnet.planning.requirements import Requirements
from bids_shresnet.scans import Scan


def is_harmonized(scan: Scan, requirements: Sequence[Requirements], root: Path) -> bool:
    """Return whether a scan was harmonized to the target of every model that takes it."""
    label = scan.scanner_label
    models = [model for model in requirements if model.source == label]
    targets = [model.target for model in models if not model.source_mismatch(scan)]
    outputs = [_find_outputs(scan, target, requirements, root) for target in targets]
    return all(files.dwi(".json").exists() for files in outputs)


def has_maps(scan: Scan, requirements: Sequence[Requirements], root: Path) -> bool:
    """Return whether a scan of a target has maps of its own."""
    outputs = _find_outputs(scan, scan.scanner_label, requirements, root)
    return outputs.qc_table(".json").exists()


def _find_outputs(
    scan: Scan, target: str, requirements: Sequence[Requirements], root: Path
) -> ScanOutputs:
    """Return the outputs of a scan for one of the targets of all models."""
    targets = [model.target for model in requirements]
    return ScanOutputs(scan, root, harmonized_desc(target, targets))
