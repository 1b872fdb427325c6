"""What the network's memory layout and batch cost: training and prediction, side by side in one run.

    python benchmarks/network.py

Prints voxels per second and, after each, its ratio to the first row. One thread, as in the app's worker processes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch

from bids_shresnet.network.shresnet import Architecture, SHResNet, build

SECONDS = 3.0
PREDICTED = 8192


def rate(work: Callable[[], int]) -> float:
    """Voxels per second over about `SECONDS`, after one round that does not count."""
    work()
    voxels, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        voxels += work()
    return voxels / (time.perf_counter() - start)


def training_step(network: SHResNet, layout: torch.memory_format, batch: int) -> Callable[[], int]:
    """One step of Adam on random patches."""
    optimizer = torch.optim.Adam(network.parameters())
    patches = torch.randn(batch, 15, 3, 3, 3).contiguous(memory_format=layout)
    target = torch.randn(batch, 15)

    def step() -> int:
        optimizer.zero_grad()
        (network(patches) - target).square().mean().backward()
        optimizer.step()
        return batch

    return step


def prediction(network: SHResNet, layout: torch.memory_format) -> Callable[[], int]:
    """One chunk of a whole-brain application."""
    patches = torch.randn(PREDICTED, 15, 3, 3, 3).contiguous(memory_format=layout)

    def predict() -> int:
        with torch.inference_mode():
            network(patches)
        return PREDICTED

    return predict


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    layouts = {"channels last": torch.channels_last_3d, "default layout": torch.contiguous_format}
    rows: dict[str, float] = {}
    for name, layout in layouts.items():
        network = build(Architecture(), seed=1).to(memory_format=layout)
        for batch in (128, 256):
            rows[f"training, batch {batch}, {name}"] = rate(training_step(network, layout, batch))
        rows[f"prediction, {name}"] = rate(prediction(network, layout))
    first = next(iter(rows.values()))
    for label, speed in rows.items():
        sys.stdout.write(f"{label:40s} {speed:8.0f} voxels/s  {speed / first:5.2f}\n")


if __name__ == "__main__":
    main()
