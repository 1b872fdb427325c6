"""What the convolutions of patches cost as matrix products and as convolutions: training and prediction, side by side.

    python benchmarks/network.py

Prints patches per second and, after each, its ratio to the first row of its kind. One thread, as in worker processes.
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

SECONDS = 3.0


class Convolved(PatchConvolution):
    """The same by torch's convolution, channels last, which is its fastest layout on a CPU."""

    def forward(self, rows: Float[Tensor, "b 27 i"]) -> Float[Tensor, "b 27 o"]:
        """At every place."""
        weight = self.weight.contiguous(memory_format=torch.channels_last_3d)
        return patches_to_rows(conv3d(rows_to_patches(rows), weight, self.bias, padding=1))


def convolved(network: SHResNet) -> SHResNet:
    """The network with all its convolutions computed by torch."""
    for layer in network.modules():
        if isinstance(layer, PatchConvolution):
            layer.__class__ = cast("type[PatchConvolution]", Convolved)
    return network


def rate(work: Callable[[], int]) -> float:
    """Patches per second over about `SECONDS`, after one round that does not count."""
    work()
    patches, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        patches += work()
    return patches / (time.perf_counter() - start)


def training_step(network: nn.Module, batch: int) -> Callable[[], int]:
    """One step of Adam on random patches."""
    optimizer = torch.optim.Adam(network.parameters())
    patches, target = rows_to_patches(torch.randn(batch, 27, 15)), torch.randn(batch, 15)

    def step() -> int:
        optimizer.zero_grad()
        (network(patches) - target).square().mean().backward()
        optimizer.step()
        return batch

    return step


def prediction(network: nn.Module) -> Callable[[], int]:
    """One chunk of a whole-brain application."""
    patches = rows_to_patches(torch.randn(PATCHES_PER_CHUNK, 27, 15))

    def predict() -> int:
        with torch.inference_mode():
            network(patches)
        return PATCHES_PER_CHUNK

    return predict


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    networks = {
        "convolutions": convolved(build_shresnet(Architecture(), seed=1)),
        "products": build_shresnet(Architecture(), seed=1),
    }
    for kind, work in {
        "training, batch 128": lambda network: training_step(network, 128),
        "training, batch 256": lambda network: training_step(network, 256),
        "prediction": prediction,
    }.items():
        rates = {name: rate(work(network)) for name, network in networks.items()}
        for name, found in rates.items():
            sys.stdout.write(
                f"{kind + ', ' + name:40s} {found:8.0f} patches/s  {found / rates['convolutions']:5.2f}\n"
            )


if __name__ == "__main__":
    main()
