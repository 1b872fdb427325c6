"""A plan: what the dataset allows the app to do, and everything that is wrong with it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bids_shresnet.errors import BadInput, Finding, InvalidDataset, group_findings
from bids_shresnet.pairs import Inventory, Pair, Selection
from bids_shresnet.planning.requirements import Requirements

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """Scans, the pairs to train and the scans to harmonize, with all findings about them.

    Attributes
    ----------
    requirements
        What the models, those of `pairs` or of earlier runs, ask of the scans to harmonize.
    """

    inventory: Inventory
    pairs: tuple[Pair, ...]
    selection: Selection
    findings: tuple[Finding, ...]
    requirements: tuple[Requirements, ...] = ()


@contextmanager
def collect_findings(findings: list[Finding]) -> Iterator[None]:
    """Add the findings of a `BadInput` error to a list, to show all of them at once later."""
    try:
        yield
    except BadInput as error:
        findings.extend(error.findings)


def stop_at_errors(findings: Sequence[Finding], validator_findings: Sequence[Finding] = ()) -> None:
    """Raise all errors at once.

    Raises
    ------
    BadInput
        If there are errors; those of the BIDS validator are included.
    InvalidDataset
        If only the BIDS validator found errors.
    """
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise BadInput([*errors, *validator_findings])
    if validator_findings:
        raise InvalidDataset(validator_findings)


def log_findings(findings: Iterable[Finding]) -> None:
    """Log warnings and notes, those of many files on one line."""
    for group in group_findings(findings):
        level = logging.WARNING if group.severity == "warning" else logging.DEBUG
        if group.severity != "error":
            logger.log(level, "%s: %s. %s", group.subject, group.value, group.remedy)
