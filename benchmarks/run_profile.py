"""Where the CPU time of a run goes: a table of tasks, seconds and shares, and JSON.

    PYTHONPATH=. python benchmarks/run_profile.py --json profile.json

A small phantom is simulated. `participant` trains a model and harmonizes, `participant` applies the
model to a scan of another subject and to one of a travelling subject, and `group` cross-validates.
Each run has a process and a thread of its own, so that the seconds hold its imports, and all of it.
With `--app ARGUMENTS`, one run of any data is profiled.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.cpu_sampling import profile_call

ONE_CORE = ("--nprocs", "1", "--omp-nthreads", "1")
SHORT_TRAINING = ("--training.max-epochs", "2", "--training.voxels-per-epoch", "3000")
Seconds = dict[str, float]


def main(arguments: Sequence[str] | None = None) -> None:
    """Profile the runs and print their table."""
    options = parse_arguments(arguments)
    if options.app is not None:
        seconds = {"run": profile_app(options.app)}
    else:
        with tempfile.TemporaryDirectory() as folder:
            seconds = profile_phantom(Path(folder), options.voxel_mm)
    if options.json is not None:
        options.json.write_text(json.dumps(seconds, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(format_table(seconds))


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voxel-mm", type=float, default=6.0, help="of the phantom")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the seconds to a file")
    parser.add_argument(
        "--app", nargs=argparse.REMAINDER, help="profile one run with these arguments"
    )
    return parser.parse_args(arguments)


def profile_phantom(folder: Path, voxel_mm: float) -> dict[str, Seconds]:
    """Simulate a phantom in an empty folder and profile all runs of it."""
    phantom = folder / "phantom"
    simulate = "from bids_shresnet.phantom.simulate import main; main()"
    flags = ("--subjects", "3", "--voxel-mm", str(voxel_mm), "--no-truth", str(phantom))
    subprocess.run([sys.executable, "-c", simulate, *flags], check=True, capture_output=True)
    models = folder / "trained" / "derivatives" / "shresnet" / "models"
    runs = {
        "training": ("trained", "participant", "--participant-label", "04", *SHORT_TRAINING),
        "new scan": ("new", "participant", "--participant-label", "04", "--models", str(models)),
        "with target": ("target", "participant", "--participant-label", "01", "--models", models),
        "group": ("trained", "group", *SHORT_TRAINING),
    }
    return {
        name: profile_in_process([str(phantom / "bids"), str(folder / out), *map(str, rest)])
        for name, (out, *rest) in runs.items()
    }


def profile_in_process(arguments: Sequence[str]) -> Seconds:
    """Profile one run of the app in a new process."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [sys.executable, "-m", "benchmarks.run_profile", "--json", file.name, "--app"]
        subprocess.run([*command, *arguments, *ONE_CORE], check=True, stdout=subprocess.DEVNULL)
        seconds: Seconds = json.loads(Path(file.name).read_text(encoding="utf-8"))["run"]
    return seconds


def profile_app(arguments: Sequence[str]) -> Seconds:
    """Profile a run of the app in this process."""

    def run_app() -> None:
        from bids_shresnet.cli.app import main as run

        if run(arguments) != 0:
            msg = f"the run failed: {' '.join(arguments)}"
            raise RuntimeError(msg)

    return profile_call(run_app)


def format_table(runs: Mapping[str, Seconds]) -> str:
    """Return a Markdown table: CPU seconds and share of each task, a column per run."""
    totals = {name: sum(seconds.values()) for name, seconds in runs.items()}
    tasks = {task for seconds in runs.values() for task in seconds}
    order = sorted(tasks, key=lambda task: -sum(run.get(task, 0) for run in runs.values()))
    lines = [f"| CPU seconds | {' | '.join(runs)} |", f"|---|{'---|' * len(runs)}"]
    for task in order:
        cells = [_format_cell(run.get(task, 0.0), totals[name]) for name, run in runs.items()]
        lines.append(f"| {task} | {' | '.join(cells)} |")
    lines.append(f"| all | {' | '.join(f'{total:.1f}' for total in totals.values())} |")
    return "\n".join([*lines, ""])


def _format_cell(seconds: float, total: float) -> str:
    return f"{seconds:.1f} ({100 * seconds / total:.0f} %)" if seconds >= 0.05 else ""


if __name__ == "__main__":
    main()
