"""The errors a user can meet, each with the exit code of the BIDS execution specification.

ShresnetError
├── UnknownLevel       17   neither participant nor group
├── UsageError         64   the command line contradicts itself
├── BadInput           65   the data cannot be used; carries every finding at once
├── InputMissing       66   a path or label that was asked for does not exist
├── NothingSelected    18   the filters leave no file
└── OutputError        73   the output folder cannot be created or written
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

IO_ERROR = 74  # EX_IOERR: an OSError in the middle of a run
# An error ends the run before any work; a warning may spoil a result; a note says how something odd is understood.
Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True)
class Finding:
    """One thing about the dataset that a user should know: where, what, and what to do about it."""

    severity: Severity
    file: str
    value: str
    remedy: str

    def __str__(self) -> str:
        """One line, ready to print."""
        return f"{self.severity}: {self.file}: {self.value}. {self.remedy}"


class ShresnetError(Exception):
    """An error whose message is meant for the user; nothing else is printed with it."""

    exit_code: ClassVar[int] = 1


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


class BadInput(ShresnetError):
    """The data cannot be used: everything that is wrong with them, at once."""

    exit_code = 65

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))
