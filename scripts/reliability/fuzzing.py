"""Damaged datasets, files and models: the tests in tests/fuzz with as many examples as asked."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts.reliability.counts import Counts
from scripts.reliability.interruptions import ROOT

DATASETS = "tests/fuzz/test_dry_runs.py"
FILES = "tests/fuzz/test_readers.py"
MODELS = "tests/fuzz/test_models.py"
PYTEST_FLAGS = (
    *("-q", "-n", "0"),
    *("-o", "addopts=--import-mode=importlib"),  # without checks of shapes, which take long
)


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
    with tempfile.NamedTemporaryFile() as trials:
        variables = {"SHRESNET_FUZZ_COUNT": str(count), "SHRESNET_FUZZ_TRIALS": trials.name}
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", *PYTEST_FLAGS, file],
            cwd=ROOT,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        counts = Counts(trials=Path(trials.name).stat().st_size)
    for line in ended.stdout.splitlines():
        if line.startswith(("FAILED", "ERROR")):
            counts.fail("hangs" if "NoEndError" in line else "tracebacks", line)
    if ended.returncode:
        sys.stderr.write(ended.stdout)  # with the example that caused it
    if ended.returncode and counts.is_clean:
        counts.fail("losses", ended.stderr[-2000:])
    return counts
