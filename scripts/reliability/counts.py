"""What went wrong in trials, as one line."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from scripts.reliability.sandbox import UNCAUGHT, Sandbox, find_broken, read_results

FAILURES = ("losses", "tracebacks", "hangs", "writes outside")


@dataclass
class Counts:
    """Numbers of trials and of what must not happen in them, and of what is good to know.

    Attributes
    ----------
    trials
        Trials that were completed.
    failures
        Numbers by the words of `FAILURES`; a loss is a broken file, a wrong exit code, or a
        result that differs from that of an undisturbed run.
    remarks
        Other numbers, such as of exit codes.
    """

    trials: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        parts = [f"{self.trials} trials", *(f"{self.failures[name]} {name}" for name in FAILURES)]
        parts += [f"{count} {name}" for name, count in sorted(self.remarks.items())]
        return ", ".join(parts)

    @property
    def is_clean(self) -> bool:
        """Whether nothing happened that must not."""
        return not self.failures.total()

    def fail(self, kind: str, detail: object) -> None:
        """Count a failure, and print what it was."""
        self.failures[kind] += 1
        sys.stderr.write(f"{kind}: {detail}\n")

    def check_code(self, code: int | None, allowed: tuple[int, ...], what: str) -> None:
        """Count a run that hangs, ends in a traceback, or with a code that it should not have."""
        if code is None:
            self.fail("hangs", what)
        elif code == UNCAUGHT:
            self.fail("tracebacks", what)
        elif code not in allowed:
            self.fail("losses", f"exit code {code} of {what}")
        self.remarks[f"x exit code {code}"] += 1

    def check_files(self, out: Path) -> None:
        """Count files that cannot be read."""
        for name in find_broken(out):
            self.fail("losses", name)

    def check_results(self, out: Path, expected: dict[str, str]) -> None:
        """Count results that are missing, too many or others than expected."""
        results = read_results(out)
        names = results.keys() | expected.keys()
        for name in sorted(name for name in names if results.get(name) != expected.get(name)):
            self.fail("losses", f"{name} is not that of an undisturbed run")

    def check_outside(self, sandbox: Sandbox, before: dict[str, tuple[int, int]]) -> None:
        """Count files that were written although they are none of an output."""
        after = sandbox.snapshot()
        for name in sorted(set(after.items()) ^ set(before.items())):
            self.fail("writes outside", name)
