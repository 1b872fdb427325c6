"""CPU seconds of a dry run of 1,000 subjects on two scanners, and of one of its subjects.

    PYTHONPATH=. python benchmarks/dry_run.py

The images have eight voxels, so that the seconds are those of finding and reading small files.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.datasets import GE, PRISMA, travelling_heads

SUBJECT_COUNT = 1000
COMMANDS = {"all subjects": (), "one subject": ("--participant-label", "0500")}


def measure_dry_run(dataset: Path, flags: tuple[str, ...]) -> float:
    """CPU seconds of a dry run, with those of its worker processes."""
    output = dataset.parent / "out"
    command = [sys.executable, "-m", "bids_shresnet", str(dataset), str(output), "participant"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, "--dry-run", *flags], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Write the dataset and print the seconds."""
    labels = [f"{number:04d}" for number in range(SUBJECT_COUNT)]
    with tempfile.TemporaryDirectory() as folder:
        dataset = travelling_heads(Path(folder) / "data", dict.fromkeys(labels, (GE, PRISMA)))
        for name, flags in COMMANDS.items():
            sys.stdout.write(f"{name}: {measure_dry_run(dataset, flags):.1f} s\n")


if __name__ == "__main__":
    main()
