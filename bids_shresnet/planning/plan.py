"""A plan: what the dataset allows the app to do, and everything that is wrong with it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bids_shresnet.errors import SEVERITIES, BadInput, Finding, InvalidDataset, join_some
from bids_shresnet.pairs import Inventory, Pair, Selection

MAX_LISTED_FILES = 5  # files named in a finding that many share

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """Scans, the pairs to train and the scans to harmonize, with all findings about them."""

    inventory: Inventory
    pairs: tuple[Pair, ...]
    selection: Selection
    findings: tuple[Finding, ...]


@contextmanager
def collect_findings(findings: list[Finding]) -> Iterator[None]:
    """Add the findings of a `BadInput` error to a list, to show all of them at once later."""
    try:
        yield
    except BadInput as error:
        findings.extend(error.findings)


def merge_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Merge findings that say the same about several files, and sort errors first."""
    files_by_finding: dict[Finding, dict[str, None]] = {}
    for finding in findings:
        files_by_finding.setdefault(replace(finding, file=""), {})[finding.file] = None
    merged = [
        replace(finding, file=join_some(list(files), MAX_LISTED_FILES))
        for finding, files in files_by_finding.items()
    ]
    return tuple(sorted(merged, key=lambda finding: SEVERITIES.index(finding.severity)))


def stop_at_errors(findings: Sequence[Finding], validator_findings: Sequence[Finding] = ()) -> None:
    """Log warnings and notes about the dataset, and raise all errors at once.

    Raises
    ------
    BadInput
        If there are errors; those of the BIDS validator are included.
    InvalidDataset
        If only the BIDS validator found errors.
    """
    errors = []
    for finding in findings:
        if finding.severity == "error":
            errors.append(finding)
        else:
            level = logging.WARNING if finding.severity == "warning" else logging.DEBUG
            logger.log(level, "%s: %s. %s", finding.file, finding.value, finding.remedy)
    if errors:
        raise BadInput([*errors, *validator_findings])
    if validator_findings:
        raise InvalidDataset(validator_findings)
