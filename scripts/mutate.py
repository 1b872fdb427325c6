#!/usr/bin/env python3
"""Change the source in one place at a time, and see whether a test notices.

    scripts/mutate.py [--package diffusion ...] [--names WORD ...] [--start N] [--count N]
                      [--timeout SECONDS] [--list]

The changes are in `scripts/mutations/`, a file per package: each would make a result wrong or a run
unsafe, and names the tests that should catch it. They are made in a temporary copy of the
repository, where those tests must pass before. The exit code is 1 if fewer than 95 % are caught,
and 2 if a change cannot be made because the source has become another.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHANGES_FOLDER = ROOT / "scripts/mutations"
PACKAGE = "bids_shresnet"
MIN_SHARE = 0.95
NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", ".*_cache", "__pycache__", "site")
PYTEST_FLAGS = (
    *("-x", "-q", "--no-header", "--tb=no", "-n", "0", "-p", "no:cacheprovider"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of libraries that are loaded before
    *("-o", "addopts=--import-mode=importlib"),  # without checks of shapes, which take long
)
LIBRARIES = ("hypothesis", "scipy.stats", "nibabel", "dipy.reconst.shm", "torch", "bids", "tyro")
TESTS_PASSED = 0  # exit codes of pytest
CAUGHT_CODES = (1, 2)  # tests failed, or could not be collected


class ListError(Exception):
    """The list of changes does not fit the source or the tests."""


@dataclass(frozen=True)
class Change:
    """A small change of one file.

    Attributes
    ----------
    name
        What it breaks, in a few words.
    package
        Name of the file that lists it.
    file
        The file that is changed, below the package folder.
    old, new
        The text that is there exactly once, and what takes its place.
    tests
        Test files or test ids that should catch it, below `tests/`.
    """

    name: str
    package: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def apply(self, root: Path) -> str:
        """Change the file below a copy of the repository, and return its text before."""
        text = self.path(root).read_text(encoding="utf-8")
        self.write(root, text.replace(self.old, self.new))
        return text

    def path(self, root: Path) -> Path:
        """Return the file in a copy of the repository."""
        return root / PACKAGE / self.file

    def write(self, root: Path, text: str) -> None:
        """Write the file, and remove its compiled form: that has the same size and second."""
        path = self.path(root)
        path.write_text(text, encoding="utf-8")
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()


@dataclass(frozen=True)
class Result:
    """What the tests said of a change."""

    change: Change
    is_caught: bool
    seconds: float
    reason: str

    def __str__(self) -> str:
        word = "caught  " if self.is_caught else "SURVIVED"
        name = f"{self.change.package}: {self.change.name}"
        return f"{word} {self.seconds:5.1f} s  {name}  [{self.reason}]"


def read_changes(folder: Path = CHANGES_FOLDER) -> list[Change]:
    """Read all lists of changes, in the order of packages."""
    changes = []
    for path in sorted(folder.glob("*.toml")):
        entries = tomllib.loads(path.read_text(encoding="utf-8"))["change"]
        for entry in entries:
            tests = tuple(entry.pop("tests").split())
            changes.append(Change(package=path.stem, tests=tests, **entry))
    return changes


def check_changes(changes: Sequence[Change], root: Path = ROOT) -> None:
    """Raise if a change cannot be made, changes nothing, or names tests that are not there."""
    for change in changes:
        source = change.path(root)
        text = source.read_text(encoding="utf-8") if source.is_file() else ""
        missing = [test for test in change.tests if not _test_file(root, test).is_file()]
        if text.count(change.old) != 1 or change.old == change.new or missing:
            problem = f"tests that are not there: {missing}" if missing else repr(change.old)
            msg = f"{change.package}: {change.name}: in {change.file}: {problem}"
            raise ListError(msg)


def _test_file(root: Path, test: str) -> Path:
    return root / "tests" / test.partition("::")[0]


def run_tests(root: Path, tests: Sequence[str], timeout: float) -> tuple[int | None, str]:
    """Run tests in a copy; return pytest's exit code, None after too long, and a failed test.

    They run in a fork of this process, which has loaded the libraries but not the package.
    """
    log = root.with_name("output.txt")
    child = os.fork()
    if child == 0:
        run_tests_in_fork(root, tests, log)
    code = wait_for(child, timeout)
    if code is None:
        return None, "no end"
    output = log.read_text(encoding="utf-8", errors="replace")
    failed = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return code, failed[0].split(" - ")[0].split("/", 1)[-1] if failed else output.strip()[-200:]


def run_tests_in_fork(root: Path, tests: Sequence[str], log: Path) -> NoReturn:
    """Run pytest in this process, which was forked for it, and end with its exit code."""
    os.setsid()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.chdir(root)
    sys.path.insert(0, str(root))
    os.environ |= {"PYTHONPATH": str(root), "COLUMNS": "500"}  # names of tests are not cut
    code = 3  # pytest's for an internal error
    try:
        code = int(pytest.main([*PYTEST_FLAGS, *(f"tests/{test}" for test in tests)]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def wait_for(child: int, timeout: float) -> int | None:
    """Wait for a child and kill what it started; after too long kill it, too, and return None."""
    end = time.monotonic() + timeout
    ended = status = 0
    while not ended and time.monotonic() < end:
        time.sleep(0.02)
        ended, status = os.waitpid(child, os.WNOHANG)
    with suppress(ProcessLookupError):  # nothing is left of what the tests started
        os.killpg(child, signal.SIGKILL)
    if not ended:
        os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if ended else None


def load_libraries(names: Sequence[str]) -> None:
    """Load once what most tests need; with one thread, because threads do not survive a fork."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"
    for name in names:
        import_module(name)


def try_change(root: Path, change: Change, timeout: float) -> Result:
    """Make a change in a copy, run its tests and take it back."""
    start = time.monotonic()
    text = change.apply(root)
    try:
        code, reason = run_tests(root, change.tests, timeout)
    finally:
        change.write(root, text)
    if code not in (None, TESTS_PASSED, *CAUGHT_CODES):
        msg = f"{change.name}: the tests did not run: {reason}"
        raise ListError(msg)
    is_caught = code in CAUGHT_CODES
    text = "" if code == TESTS_PASSED else reason
    return Result(change, is_caught, time.monotonic() - start, text)


def try_changes(
    changes: Sequence[Change],
    timeout: float,
    *,
    source: Path = ROOT,
    libraries: Sequence[str] = LIBRARIES,
) -> list[Result]:
    """Try changes one after another in a copy of the repository, and print each result."""
    results = []
    load_libraries(libraries)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / source.name
        shutil.copytree(source, root, ignore=NOT_COPIED, symlinks=True)
        for change in changes:
            results.append(try_change(root, change, timeout))
            sys.stdout.write(f"{results[-1]}\n")
            sys.stdout.flush()
        check_tests(root, [result.reason for result in results if result.is_caught], timeout)
    return results


def check_tests(root: Path, failed: Sequence[str], timeout: float) -> None:
    """Raise if one of the tests that failed also fails without a change."""
    tests = list(dict.fromkeys(failed))
    if tests:
        code, reason = run_tests(root, tests, timeout * len(tests))
        if code != TESTS_PASSED:
            msg = f"{reason} does not pass without any change"
            raise ListError(msg)


def format_table(results: Sequence[Result]) -> str:
    """Return a Markdown table of how many changes were caught, by package."""
    packages = sorted({result.change.package for result in results})
    rows = ["| package | changes | caught |", "| --- | --- | --- |"]
    for package in packages:
        of_package = [result for result in results if result.change.package == package]
        rows.append(f"| {package} | {len(of_package)} | {_count_caught(of_package)} |")
    rows.append(f"| all | {len(results)} | {_count_caught(results)} |")
    return "".join(f"{row}\n" for row in rows)


def _count_caught(results: Sequence[Result]) -> int:
    return sum(result.is_caught for result in results)


def select(changes: Sequence[Change], options: argparse.Namespace) -> list[Change]:
    """Return the changes that were asked for."""
    selected = [
        change
        for change in changes
        if (not options.package or change.package in options.package)
        and (not options.names or any(word in change.name for word in options.names))
    ]
    end = None if options.count is None else options.start + options.count
    return selected[options.start : end]


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--package", nargs="+", default=[], help="only changes of these packages")
    parser.add_argument("--names", nargs="+", default=[], help="only names with these words")
    parser.add_argument("--start", type=int, default=0, help="number of the first one, from 0")
    parser.add_argument("--count", type=int, help="how many")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one change")
    parser.add_argument("--list", action="store_true", help="print them and try none")
    return parser.parse_args(arguments)


def main() -> int:
    """Try what was asked for, print a table and return the exit code."""
    options = parse_options()
    try:
        changes = select(read_changes(), options)
        check_changes(changes)
        if options.list:
            sys.stdout.writelines(f"{one.package}: {one.name} ({one.file})\n" for one in changes)
            return 0
        results = try_changes(changes, options.timeout)
    except ListError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    share = _count_caught(results) / max(1, len(results))
    sys.stdout.write(f"\n{format_table(results)}\n{100 * share:.1f} % are caught\n")
    return 0 if share >= MIN_SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
