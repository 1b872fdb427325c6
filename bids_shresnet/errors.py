"""Errors for users, each with the exit code of the BIDS execution specification.

ShresnetError
├── BadInput           65   the data cannot be used; lists all errors at once
│   └── InvalidDataset 16   only the official BIDS validator finds errors
├── UnknownLevel       17   neither participant nor group
├── UsageError         64   the command line contradicts itself
├── InputMissing       66   a path or label that was asked for does not exist
├── NothingSelected    18   the filters leave no file
└── OutputError        73   the output folder cannot be created or written

Interrupted            75   a signal has stopped the run; the same command continues it
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, get_args

IO_ERROR_EXIT_CODE = 74  # EX_IOERR: an OSError in the middle of a run
# An error ends the run before any work. A warning may degrade the result. A note tells how the app
# understands something unusual.
Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True)
class Finding:
    """Something about the dataset that a user should know.

    Attributes
    ----------
    file
        File or scanner that it is about.
    value
        What was found.
    remedy
        What to do about it.
    """

    severity: Severity
    file: str
    value: str
    remedy: str

    @classmethod
    def error(cls, file: str | Path, value: str, remedy: str) -> Finding:
        """Make a finding that ends the run before any work."""
        return cls(severity="error", file=str(file), value=value, remedy=remedy)

    @classmethod
    def warning(cls, file: str | Path, value: str, remedy: str) -> Finding:
        """Make a finding that may degrade a result."""
        return cls(severity="warning", file=str(file), value=value, remedy=remedy)

    @classmethod
    def note(cls, file: str | Path, value: str, remedy: str) -> Finding:
        """Make a finding that says how something odd is understood."""
        return cls(severity="note", file=str(file), value=value, remedy=remedy)

    def __str__(self) -> str:
        """Format all on one line."""
        return f"{self.severity}: {self.file}: {self.value}. {self.remedy}"


@dataclass(frozen=True)
class FindingGroup:
    """Findings that say the same about several files.

    Attributes
    ----------
    value, remedy
        Those of the first finding; the numbers of the others may differ.
    files
        All files, each once.
    """

    severity: Severity
    value: str
    remedy: str
    files: tuple[str, ...]

    @property
    def subject(self) -> str:
        """The file, or the number of files and an example."""
        if len(self.files) == 1:
            return self.files[0]
        return f"{len(self.files)} files, such as {self.files[0]}"

    def __str__(self) -> str:
        """Format all on one line."""
        return f"{self.severity}: {self.subject}: {self.value}. {self.remedy}"


def group_findings(
    findings: Iterable[Finding], *, ignores_numbers: bool = True
) -> tuple[FindingGroup, ...]:
    """Group findings that say the same, errors first.

    Parameters
    ----------
    ignores_numbers
        Whether texts about files are the same if they differ in numbers and paths only.
    """
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        texts = (finding.value, finding.remedy)
        if ignores_numbers and "/" in finding.file:
            texts = (_mask_numbers(finding.value), _mask_numbers(finding.remedy))
        groups.setdefault((finding.severity, *texts), []).append(finding)
    merged = [_make_group(group) for group in groups.values()]
    return tuple(sorted(merged, key=lambda group: SEVERITIES.index(group.severity)))


def _make_group(findings: Sequence[Finding]) -> FindingGroup:
    first = findings[0]
    files = tuple(dict.fromkeys(finding.file for finding in findings))
    return FindingGroup(first.severity, first.value, first.remedy, files)


def _mask_numbers(text: str) -> str:
    """Replace words with a digit or a path."""
    return re.sub(r"\S*[\d/]\S*", "#", text)


def join_some(texts: Sequence[str], limit: int, separator: str = ", ") -> str:
    """Join the first texts, and count the rest: "a, b and 3 more"."""
    more = f" and {len(texts) - limit} more" if len(texts) > limit else ""
    return separator.join(texts[:limit]) + more


def pluralize(noun: str, count: int) -> str:
    """Return a noun for a number: "1 subject", "2 subjects"."""
    return noun if count == 1 else f"{noun}s"


class ShresnetError(Exception):
    """An error whose message is meant for the user; nothing else is printed with it."""

    exit_code: ClassVar[int] = 1
    is_printed: bool = False  # whether the output of a dry run says the same


class UsageError(ShresnetError):
    """The command line contradicts itself."""

    exit_code = 64


class UnknownLevel(ShresnetError):
    """The analysis level is neither participant nor group."""

    exit_code = 17


class InputMissing(ShresnetError):
    """A path or a label that was asked for does not exist."""

    exit_code = 66


class NothingSelected(ShresnetError):
    """The filters leave no file to work on."""

    exit_code = 18


class OutputError(ShresnetError):
    """The output folder cannot be created or written."""

    exit_code = 73


class Interrupted(SystemExit):
    """A signal has stopped the run (EX_TEMPFAIL): the same command continues it.

    It is no `Exception`, so that code which continues after a failed scan does not swallow it.
    """

    exit_code: ClassVar[int] = 75

    def __init__(self, signal_name: str) -> None:
        super().__init__(self.exit_code)
        self.signal_name = signal_name

    def __reduce__(self) -> tuple[type[Interrupted], tuple[str]]:
        """Let worker processes send it."""
        return type(self), (self.signal_name,)

    def __str__(self) -> str:
        """Name the signal and the remedy."""
        return f"stopped by {self.signal_name}; run the same command again to go on"


class BadInput(ShresnetError):
    """The data cannot be used; all errors are listed at once, those of many files on one line."""

    exit_code = 65

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(map(str, group_findings(self.findings))))


class InvalidDataset(BadInput):
    """The official BIDS validator finds errors (`--validate-bids`), the app itself none."""

    exit_code = 16
