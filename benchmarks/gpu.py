"""Check and time networks on a GPU against the CPU, as benchmarks/gpu.sh calls it.

Every part of the work is timed on as many voxels as its device needs to show its rate. Its seconds
are scaled to the voxels of a real fold and scan. The program ends with 1 if a check fails.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from benchmarks.gpu_checks import Check, run_checks
from benchmarks.gpu_tasks import LARGE, MEDIUM, SMALL, Sizes, Work, make_parts, make_task
from benchmarks.stacked_folds import training_steps
from benchmarks.synthetic_heads import simulate_head
from bids_shresnet.network.devices import select_device
from bids_shresnet.runtime.resources import available_cores

REAL_VOXELS = {  # of each part, in a fold of eight training subjects and in a scan
    "regression": 1_600_000,
    "drawing voxels": 400_000,  # 5 epochs
    "training": 400_000,
    "amplitude head": 400_000,
    "prediction": 200_000,
}
FOLD_PARTS = ("regression", "training", "amplitude head")  # drawing is a part of training


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes
    ----------
    check, cpu, device
        Sizes of the checks, and of the measurements on the CPU and on the device.
    repeats
        Measurements that a median is taken of.
    folds, batch, steps
        Of the comparison of stacked networks.
    """

    check: Sizes
    cpu: Sizes
    device: Sizes
    repeats: int
    folds: int
    batch: int
    steps: int


CHECKED = Sizes(subject_voxels=4_000, epoch_voxels=8_000, epochs=3, brain_voxels=50_000)
EXTENTS = {
    "full": Extent(CHECKED, MEDIUM, LARGE, repeats=3, folds=10, batch=256, steps=20),
    "small": Extent(SMALL, SMALL, SMALL, repeats=1, folds=2, batch=16, steps=1),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, measure and print; return the exit code."""
    options = parse_arguments(arguments)
    device = select_device(options.device)
    extent = EXTENTS["small" if options.small else "full"]
    thread_counts = {1} if options.small else {1, available_cores()}
    torch.set_num_threads(max(thread_counts))
    checks = run_checks(
        make_task(extent.check, "cpu"), simulate_head(5, extent.check.brain_voxels), device
    )
    write_checks(checks)
    steps = measure_steps(extent, device)
    write_steps(steps)
    seconds = measure_parts(extent, device, sorted(thread_counts))
    write_seconds(seconds)
    if options.json is not None:
        record = {
            "machine": describe_machine(device),
            "checks": [asdict(check) for check in checks],
            "seconds": seconds,
            "milliseconds_per_step_and_fold": steps,
        }
        options.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0 if all(check.has_passed for check in checks) else 1


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--small", action="store_true", help="a few voxels, to try the program")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results to a file")
    return parser.parse_args(arguments)


def measure_parts(
    extent: Extent, device: str, thread_counts: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Measure the seconds of all parts on the CPU, for each number of threads, and the device."""
    cpu_parts = make_parts(extent.cpu, "cpu")
    seconds: dict[str, dict[str, float]] = {}
    for threads in thread_counts:
        title = f"{threads} CPU thread{'s' * (threads > 1)}"
        seconds[title] = measure_real_seconds(cpu_parts, extent.repeats, threads)
    device_parts = make_parts(extent.device, device)
    seconds[device] = measure_real_seconds(device_parts, extent.repeats, thread_counts[-1])
    return seconds


def measure_real_seconds(parts: Mapping[str, Work], repeats: int, threads: int) -> dict[str, float]:
    """Measure every part after a warm-up, and scale it to the voxels of a real fold and scan."""
    torch.set_num_threads(threads)
    seconds: dict[str, float] = {}
    with threadpool_limits(threads):
        for name, work in parts.items():
            work()
            rates = [measure_rate(work) for _ in range(repeats)]
            seconds[name] = statistics.median(rates) * REAL_VOXELS[name]
    seconds["whole fold"] = sum(seconds[name] for name in FOLD_PARTS)
    return seconds


def measure_rate(work: Work) -> float:
    """Seconds per voxel."""
    start = read_clock()
    voxels = work()
    return (read_clock() - start) / voxels


def measure_steps(extent: Extent, device: str) -> dict[str, float]:
    """Milliseconds per step and fold of each way to train several folds."""
    steps = training_steps(extent.folds, extent.batch, device)
    return {name: measure_step(step, extent) for name, step in steps.items()}


def measure_step(step: Callable[[], None], extent: Extent) -> float:
    """Milliseconds per step and fold, median over repeats after a warm-up."""
    milliseconds: list[float] = []
    for _ in range(extent.repeats + 1):
        start = read_clock()
        for _ in range(extent.steps):
            step()
        milliseconds.append((read_clock() - start) / extent.steps / extent.folds * 1000)
    return statistics.median(milliseconds[1:])


def read_clock() -> float:
    """Read the time after all that the GPU has to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def describe_machine(device: str) -> dict[str, Any]:
    """Name what the results depend on."""
    is_gpu = torch.device(device).type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if is_gpu else platform.processor(),
        "cores": available_cores(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }


def write_checks(checks: Sequence[Check]) -> None:
    """Print what was compared."""
    write_row("check", "difference", "limit")
    for check in checks:
        verdict = "" if check.has_passed else "FAILED"
        write_row(check.name, f"{check.difference:.2g}", f"{check.limit:g}", verdict)


def write_steps(steps: Mapping[str, float]) -> None:
    """Print the ways to train several folds."""
    write_row("\ntraining of several folds", "ms per step and fold")
    for name, milliseconds in steps.items():
        write_row(name, f"{milliseconds:.3f}")


def write_seconds(seconds: Mapping[str, Mapping[str, float]]) -> None:
    """Print the seconds of every part, and their ratios to those on the device."""
    *others, device = seconds
    write_row("\nseconds of a fold and a scan", *seconds, *(f"{name}/{device}" for name in others))
    for part, base in seconds[device].items():
        values = [column[part] for column in seconds.values()]
        numbers = [*values, *(value / base for value in values[:-1])]
        write_row(part, *(f"{number:.3g}" for number in numbers))


def write_row(title: str, *cells: str) -> None:
    """Print a row at once, so that a run that is stopped shows how far it came."""
    sys.stdout.write("".join([f"{title:36s}", *(f" {cell:>20s}" for cell in cells)]).rstrip())
    sys.stdout.write("\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
