"""The same command several times, with one and two processes and threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from scripts.compare_runs import TOLERANCE, file_difference, find_results
from scripts.reliability.counts import Counts
from scripts.reliability.interruptions import ROOT
from scripts.reliability.sandbox import APPLY_ONLY, BRIEF, Sandbox, read_results

VARIANTS = {  # flags, and the largest difference from the first run in shares of the largest value
    "once more": (("--nprocs", "1", "--omp-nthreads", "1"), 0.0),
    "two processes": (("--nprocs", "2", "--omp-nthreads", "1"), 0.0),
    "two threads": (("--nprocs", "1", "--omp-nthreads", "2"), TOLERANCE),
}


def repeat_runs(sandbox: Sandbox, count: int) -> Counts:
    """Train and harmonize from nothing in processes of their own, `count` times each variant."""
    counts = Counts()
    before = sandbox.snapshot()
    first = sandbox.folder / "first"
    run_process(sandbox, first, VARIANTS["once more"][0], counts)
    for number in range(count):
        for name, (flags, tolerance) in VARIANTS.items():
            out = sandbox.folder / f"{name}-{number}".replace(" ", "-")
            run_process(sandbox, out, flags, counts)
            counts.trials += 1
            compare(first, out, name, tolerance, counts)
    counts.check_outside(sandbox, before)
    return counts


def run_process(sandbox: Sandbox, out: Path, flags: tuple[str, ...], counts: Counts) -> None:
    """Run the app in a new interpreter."""
    arguments = [str(sandbox.bids), str(out), "participant", "--participant-label", APPLY_ONLY]
    command = [sys.executable, "-m", "bids_shresnet", *arguments, *BRIEF, *flags]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    counts.check_code(ended.returncode, (0,), ended.stderr[-2000:])


def compare(first: Path, second: Path, name: str, tolerance: float, counts: Counts) -> None:
    """Count files that differ in a byte or, where a tolerance is given, images that differ more.

    Equal images can come from other weights: what no patch shows is not determined.
    """
    if not tolerance:
        counts.check_results(second, read_results(first))
        return
    files = find_images(first)
    others = find_images(second)
    if files.keys() != others.keys():
        counts.fail("losses", f"{name}: other files")
        return
    largest = max(file_difference(files[path], others[path]) for path in files)
    counts.remarks[f"{largest:.1e} largest difference with {name}"] += 1
    if largest > tolerance:
        counts.fail("losses", f"{name}: a difference of {largest}")


def find_images(out: Path) -> dict[Path, Path]:
    """Return the images of an output by their paths in it."""
    return {name: path for name, path in find_results(out).items() if path.suffix == ".gz"}
