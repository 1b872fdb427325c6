"""Seconds and lines of dry runs of 1,000 subjects on two scanners.

    PYTHONPATH=. python benchmarks/dry_run.py

The images have eight voxels, so that the seconds are those of finding and reading small files. In
the second dataset, 700 of the 2,000 images are links to content that was not fetched: how many of
them the tables name is printed as well.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.datasets import write_tree
from tests.zoo.studies import make_study

SUBJECT_COUNT = 1000
MISSING_COUNT = 350  # subjects without content, on both scanners


@dataclass(frozen=True)
class DryRun:
    """What a dry run took and printed.

    Attributes
    ----------
    cpu_seconds
        With those of its worker processes.
    wall_seconds
        On a clock.
    output, messages
        Text on the output and on the error stream.
    """

    cpu_seconds: float
    wall_seconds: float
    output: str
    messages: str

    def __str__(self) -> str:
        """Say what a user waits for and reads."""
        lines = len((self.output + self.messages).splitlines())
        return f"{self.cpu_seconds:.1f} s of CPU, {self.wall_seconds:.1f} s, {lines} lines"


def measure_dry_run(dataset: Path, flags: Sequence[str] = ()) -> DryRun:
    """Run the app on a dataset, whatever its exit code."""
    output = dataset.parent / "out"
    command = [sys.executable, "-m", "bids_shresnet", str(dataset), str(output), "participant"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    run = subprocess.run(
        [*command, "--dry-run", *flags], check=False, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return DryRun(cpu_seconds, time.monotonic() - start, run.stdout, run.stderr)


def count_named_links(dataset: Path) -> tuple[int, int]:
    """Count the links to content that is not here, and those that are named in the tables."""
    links = {str(path) for path in dataset.rglob("*.nii.gz") if path.is_symlink()}
    listed = measure_dry_run(dataset, ["-v"]).output.splitlines()
    document = json.loads(measure_dry_run(dataset, ["--json"]).output)
    errors = [finding for finding in document["findings"] if finding["severity"] == "error"]
    files = {file for error in errors for file in error["files"]}
    return len(links), len(links & files & {line.strip() for line in listed})


def measure_all(folder: Path, subject_count: int, missing_count: int) -> Iterator[str]:
    """Write both datasets and yield a line for each dry run."""
    complete = write_tree(folder / "complete/data", make_study(subject_count, 0))
    last = f"{subject_count - 1:04d}"
    yield f"all subjects: {measure_dry_run(complete)}"
    yield f"one subject: {measure_dry_run(complete, ['--participant-label', last])}"
    annexed = write_tree(folder / "annexed/data", make_study(subject_count, missing_count))
    run = measure_dry_run(annexed)
    links, named = count_named_links(annexed)
    yield f"links to content that is not here: {run}; {named} of {links} files named"


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        for line in measure_all(Path(folder), SUBJECT_COUNT, MISSING_COUNT):
            sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
