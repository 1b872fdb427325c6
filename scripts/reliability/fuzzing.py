"""Damaged datasets and edited models: the tests in tests/fuzz with as many examples as asked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence

from scripts.reliability.counts import Counts
from scripts.reliability.interruptions import ROOT

DATASETS = ("tests/fuzz/test_dry_runs.py", "tests/fuzz/test_readers.py")
MODELS = ("tests/fuzz/test_models.py",)
EXAMPLES = re.compile(r"(\d+) passing examples, (\d+) failing examples")


def damage_datasets(_: object, count: int) -> Counts:
    """Read damaged files, and plan runs on damaged datasets, `count` times each."""
    return run_tests(DATASETS, count)


def edit_models(_: object, count: int) -> Counts:
    """Read edited models, `count` times each way of editing them."""
    return run_tests(MODELS, count)


def run_tests(files: Sequence[str], count: int) -> Counts:
    """Run tests with new examples; each failure is a traceback, a hang or a write outside."""
    flags = ("-q", "-n", "0", "--hypothesis-show-statistics")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *flags, *files],
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
    if ended.returncode and counts.is_clean:
        counts.fail("losses", ended.stdout[-2000:] + ended.stderr[-2000:])
    return counts
