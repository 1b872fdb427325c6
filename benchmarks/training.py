"""CPU time of training and prediction, against a literal loop over torch's convolutions.

    PYTHONPATH=. python benchmarks/training.py [--threads 1 2] [--json FILE]

The network of the paper is written once more as a reader of the paper would write it (Conv3d, one
loss, `zero_grad`, `backward`, `step`), with the same weights. Both take turns in one process;
every time is a median of CPU seconds after a warm-up.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bids_shresnet.network.cuda_graphs import make_gradient_function
from bids_shresnet.network.patches import PATCHES_PER_CHUNK, rows_to_patches
from bids_shresnet.network.prediction import Predictor
from bids_shresnet.network.schedules import make_adam
from bids_shresnet.network.shresnet import Architecture, SHResNet, build_shresnet
from bids_shresnet.network.training_loop import Samples, mean_squared_error

BATCHES = (128, 256)
REPEATS = 15
PAPER = Architecture()
OURS = Architecture(has_contrast=True, has_skip=True)
LEARNING_RATE = 1e-3
Work = Callable[[], object]
Row = Mapping[str, str | int | float]


class LiteralUnit(nn.Sequential):
    """A functional unit: three convolutions with padding, ReLU after the first two."""

    def __init__(self, channels: int, hidden: int, outputs: int) -> None:
        super().__init__(
            nn.Conv3d(channels, hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv3d(hidden, hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv3d(hidden, outputs, 3, padding=1),
        )


class LiteralBlock(nn.Module):
    """Concatenated coefficients of all units, subtracted from the input."""

    def __init__(self, parts: Architecture) -> None:
        super().__init__()
        self.units = nn.ModuleList(
            LiteralUnit(parts.output_channels, parts.hidden, count) for count in parts.outputs
        )

    def forward(self, x: Float[Tensor, "b c 3 3 3"]) -> Float[Tensor, "b c 3 3 3"]:
        """Subtract the corrections."""
        return x - torch.cat([unit(x) for unit in self.units], dim=1)


class LiteralNetwork(nn.Module):
    """The network of the paper, with torch's convolutions and the weights of ours."""

    def __init__(self, network: SHResNet) -> None:
        super().__init__()
        parts = network.architecture
        channels = parts.output_channels
        self.pre = nn.Conv3d(channels, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(LiteralBlock(parts) for _ in range(parts.resblocks)))
        self.post = nn.Conv3d(channels, channels, 3, padding=1)
        self.final = nn.Conv3d(channels, channels, 3)
        for own, other in zip(self.parameters(), network.parameters(), strict=True):
            own.data.copy_(other.data)

    def forward(self, patches: Float[Tensor, "b c 3 3 3"]) -> Float[Tensor, "b c"]:
        """Predict the centre voxel."""
        before = self.pre(patches)
        centre: Tensor = self.final(self.post(self.blocks(before)) - before)
        return centre[:, :, 0, 0, 0]


def paper_networks() -> tuple[SHResNet, LiteralNetwork]:
    """Build the network of the paper twice, with the same random weights in every layer."""
    network = build_shresnet(PAPER, seed=1)
    fill(network)
    return network, LiteralNetwork(network)


def fill(network: nn.Module) -> None:
    """Give every weight a random part, as after some training: some of them start at zero."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data += 0.01 * torch.randn(parameter.shape, generator=generator)


def random_samples(voxels: int, channels: int, subjects: int) -> Samples:
    """Random voxels of subjects with 30 directions."""
    generator = torch.Generator().manual_seed(2)
    return Samples(
        patches=torch.randn(voxels, 27, channels, generator=generator).half(),
        signal=torch.rand(voxels, 30, generator=generator).half(),
        subject_index=torch.arange(voxels) % subjects,
        matrices=torch.randn(subjects, 30, 15, generator=generator),
    )


def our_step(network: SHResNet, batch: int, subjects: int = 3) -> Work:
    """One step of training, as the training loop takes it."""
    network.train()
    optimizer = make_adam(network, LEARNING_RATE)
    samples = random_samples(batch, network.architecture.input_channels, subjects)

    def loss(*tensors: Tensor) -> Tensor:
        return mean_squared_error(network, Samples(*tensors))

    compute_gradients = make_gradient_function(network, loss, samples.tensors)

    def step() -> None:
        compute_gradients(*samples.tensors)
        optimizer.step()

    return step


def literal_step(network: LiteralNetwork, batch: int) -> Work:
    """One step of training, as torch's tutorials write it."""
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    samples = random_samples(batch, PAPER.input_channels, 1)
    patches = rows_to_patches(samples.patches.float()).contiguous()
    matrix = samples.matrices[0]

    def step() -> None:
        optimizer.zero_grad()
        signal = network(patches) @ matrix.T
        nn.functional.mse_loss(signal, samples.signal.float()).backward()
        optimizer.step()

    return step


def prediction(network: Callable[[Tensor], Tensor], channels: int) -> Work:
    """Predict one chunk of patches, as in harmonizing a scan."""
    patches = rows_to_patches(torch.randn(PATCHES_PER_CHUNK, 27, channels))

    def predict() -> None:
        with torch.inference_mode():
            network(patches)

    return predict


def make_tasks() -> dict[str, dict[str, Work]]:
    """Return what is measured: for each task, the ways to do it; the first one is the reference."""
    ours = build_shresnet(OURS, seed=1)
    network, literal = paper_networks()
    tasks: dict[str, dict[str, Work]] = {}
    for batch in BATCHES:
        tasks[f"training step, batch {batch}"] = {
            "literal loop": literal_step(literal, batch),
            "the paper's network": our_step(network, batch),
            "the default network": our_step(ours, batch),
        }
    tasks[f"prediction of {PATCHES_PER_CHUNK} voxels"] = {
        "literal loop": prediction(literal, PAPER.input_channels),
        "the paper's network": prediction(Predictor(network), PAPER.input_channels),
        "the default network": prediction(Predictor(ours), OURS.input_channels),
    }
    return tasks


def measure(ways: Mapping[str, Work], repeats: int) -> dict[str, float]:
    """Median CPU seconds of each way; the ways take turns, so that all see the same machine."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(-1, repeats):  # the first round warms up
        for name, work in ways.items():
            start = time.process_time()
            work()
            if repeat >= 0:
                seconds[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure_all(threads: Sequence[int], repeats: int) -> list[Row]:
    """Measure all tasks with each number of threads."""
    rows: list[Row] = []
    for count in threads:
        torch.set_num_threads(count)
        for task, ways in make_tasks().items():
            seconds = measure(ways, repeats)
            reference = next(iter(seconds.values()))
            for way, value in seconds.items():
                rows.append(
                    {
                        "task": task,
                        "threads": count,
                        "way": way,
                        "milliseconds": round(1000 * value, 2),
                        "ratio": round(reference / value, 2),
                    }
                )
    return rows


def main() -> None:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = measure_all(options.threads, options.repeats)
    sys.stdout.write("| task | threads | way | CPU ms | times faster |\n|---|---|---|---|---|\n")
    for row in rows:
        sys.stdout.write(f"| {' | '.join(str(value) for value in row.values())} |\n")
    if options.json:
        machine = {"processor": platform.processor(), "torch": torch.__version__}
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
