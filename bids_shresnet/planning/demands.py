"""Images that no step will read: what is wrong with their content stops nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from bids_shresnet.config import Config
from bids_shresnet.errors import Finding
from bids_shresnet.pairs import Inventory, Pair, Selection

UNUSED_REMEDY = "Nothing reads it, so it may stay as it is."


def should_validate(config: Config) -> bool:
    """Return whether a run cross-validates its models."""
    return config.run.analysis_level == "group" and config.model.validation


def find_unused_images(
    inventory: Inventory, pairs: Sequence[Pair], selection: Selection
) -> frozenset[str]:
    """Return the paths of usable scans that are neither trained on, nor harmonized, nor mapped.

    `pairs` are those whose model is still to be made or cross-validated.
    """
    used = {scan.image for scan in selection.written_scans}
    for pair in pairs:
        for scans in (*pair.travelling_scans, *pair.repeats):
            used |= {scan.image for scan in scans}
    return frozenset(str(scan.image) for scan in inventory.scans if scan.image not in used)


def find_broken_images(findings: Iterable[Finding]) -> set[str]:
    """Return the files that errors are about, whether or not a step will read them."""
    return {
        finding.file
        for finding in findings
        if finding.severity == "error" or finding.remedy == UNUSED_REMEDY
    }


def demote_findings(findings: Iterable[Finding], unused: Collection[str]) -> list[Finding]:
    """Turn errors about unused images into notes."""
    return [
        replace(finding, severity="note", remedy=UNUSED_REMEDY)
        if finding.severity == "error" and finding.file in unused
        else finding
        for finding in findings
    ]
