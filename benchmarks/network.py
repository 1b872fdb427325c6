"""Speed of patch convolutions as matrix products and as torch's convolutions.

    python benchmarks/network.py

Prints patches per second for training and prediction, and their ratio to torch's convolutions. It
uses one thread, like worker processes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv3d

from bids_shresnet.network.convolution import PatchConvolution
from bids_shresnet.network.patches import PATCHES_PER_CHUNK, patches_to_rows, rows_to_patches
from bids_shresnet.network.shresnet import Architecture, SHResNet, build_shresnet

SECONDS = 3.0  # of each measurement
CHANNELS = Architecture().output_channels


class TorchConvolution(PatchConvolution):
    """Torch's convolution, channels last, which is its fastest layout on a CPU."""

    def forward(self, rows: Float[Tensor, "b 27 i"]) -> Float[Tensor, "b 27 o"]:
        """Convolve at all 27 positions."""
        weight = self.weight.contiguous(memory_format=torch.channels_last_3d)
        return patches_to_rows(conv3d(rows_to_patches(rows), weight, self.bias, padding=1))


def use_torch_convolutions(network: SHResNet) -> SHResNet:
    """Replace all convolutions of a network by torch's."""
    for layer in network.modules():
        if isinstance(layer, PatchConvolution):
            layer.__class__ = cast("type[PatchConvolution]", TorchConvolution)
    return network


def measure_rate(process_patches: Callable[[], int]) -> float:
    """Patches per second over about `SECONDS`, after one call to warm up."""
    process_patches()
    patches = 0
    start = time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        patches += process_patches()
    return patches / (time.perf_counter() - start)


def training_step(network: nn.Module, batch: int) -> Callable[[], int]:
    """One step of Adam on random patches."""
    optimizer = torch.optim.Adam(network.parameters())
    patches = rows_to_patches(torch.randn(batch, 27, CHANNELS))
    target = torch.randn(batch, CHANNELS)

    def step() -> int:
        optimizer.zero_grad()
        (network(patches) - target).square().mean().backward()
        optimizer.step()
        return batch

    return step


def prediction(network: nn.Module) -> Callable[[], int]:
    """One chunk of patches, as in harmonizing a scan."""
    patches = rows_to_patches(torch.randn(PATCHES_PER_CHUNK, 27, CHANNELS))

    def predict() -> int:
        with torch.inference_mode():
            network(patches)
        return PATCHES_PER_CHUNK

    return predict


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    convolutions = use_torch_convolutions(build_shresnet(Architecture(), seed=1))
    products = build_shresnet(Architecture(), seed=1)
    tasks: dict[str, Callable[[nn.Module], Callable[[], int]]] = {
        "training, batch 128": lambda network: training_step(network, 128),
        "training, batch 256": lambda network: training_step(network, 256),
        "prediction": prediction,
    }
    for name, make_task in tasks.items():
        reference = measure_rate(make_task(convolutions))
        rate = measure_rate(make_task(products))
        print_rate(f"{name}, convolutions", reference, reference)
        print_rate(f"{name}, products", rate, reference)


def print_rate(label: str, rate: float, reference: float) -> None:
    """Print one line."""
    sys.stdout.write(f"{label:40s} {rate:8.0f} patches/s  {rate / reference:5.2f}\n")


if __name__ == "__main__":
    main()
