"""Damaged datasets, files and models: the tests in tests/fuzz with as many examples as asked."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from scripts.reliability.counts import Counts
from scripts.reliability.interruptions import ROOT

DATASETS = "tests/fuzz/test_dry_runs.py"
FILES = "tests/fuzz/test_readers.py"
MODELS = "tests/fuzz/test_models.py"
PYTEST_FLAGS = (
    *("-q", "-n", "0", "--hypothesis-show-statistics"),
    *("-o", "addopts=--import-mode=importlib"),  # without checks of shapes, which take long
)
EXAMPLES = re.compile(r"(\d+) passing examples, (\d+) failing examples")


def damage_datasets(_: object, count: int) -> Counts:
    """Plan runs on `count` damaged datasets."""
    return run_tests(DATASETS, count)


def damage_files(_: object, count: int) -> Counts:
    """Let every reader read `count` damaged files."""
    return run_tests(FILES, count)


def edit_models(_: object, count: int) -> Counts:
    """Read edited models, `count` times each way of editing them."""
    return run_tests(MODELS, count)


def run_tests(file: str, count: int) -> Counts:
    """Run tests with new examples; each failure is a traceback, a hang or a write outside."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *PYTEST_FLAGS, file],
        cwd=ROOT,
        env=os.environ | {"SHRESNET_FUZZ_COUNT": str(count)},
        capture_output=True,
        text=True,
        check=False,
    )
    counts = Counts()
    for passing, failing in EXAMPLES.findall(ended.stdout):
        counts.trials += int(passing) + int(failing)
    for line in ended.stdout.splitlines():
        if line.startswith(("FAILED", "ERROR")):
            counts.fail("hangs" if "NoEndError" in line else "tracebacks", line)
    if ended.returncode:
        sys.stderr.write(ended.stdout)  # with the example that caused it
    if ended.returncode and counts.is_clean:
        counts.fail("losses", ended.stdout[-2000:] + ended.stderr[-2000:])
    return counts
