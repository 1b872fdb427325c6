"""SHResNet (Koppers et al. 2018): a residual network on 3x3x3 patches of spherical-harmonic coefficients.

What the paper leaves open is chosen as follows: a functional unit sees all coefficients and keeps their number inside;
its output is subtracted from its input; one convolution before and one after the ResBlocks, each with its own weights;
no activation but the two ReLUs of a unit, since coefficients are signed; the last layers of the units start at zero, so
that every ResBlock starts as the identity.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

TAPS = 27  # of a 3x3x3 kernel
KERNEL_AXES = 5  # (outputs, inputs, 3, 3, 3)


@dataclass(frozen=True)
class Architecture:
    """All that is needed to build the network anew.

    Attributes
    ----------
    outputs
        Coefficients of each functional unit, in the order of the stack: (1, 5, 9) for one shell of order 4.
    resblocks
        Number of ResBlocks.
    hidden
        Channels inside a functional unit; the paper keeps the number of coefficients.
    contrast
        Whether the network also sees the contrast of S0, the last channel of a patch.
    skip
        Whether a linear map of the whole patch is added to the output. The network then learns what it cannot do.
    seen
        The same as `outputs` of what it sees, where that is not what it predicts.
    """

    outputs: tuple[int, ...] = (1, 5, 9)
    resblocks: int = 2
    hidden: int = 15
    contrast: bool = False
    skip: bool = False
    seen: tuple[int, ...] = ()

    @property
    def channels(self) -> int:
        """Coefficients that are predicted, all orders and shells."""
        return sum(self.outputs)

    @property
    def inputs(self) -> int:
        """Channels of a patch that the network looks at."""
        return sum(self.seen or self.outputs) + self.contrast

    def to_record(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Architecture:
        """From `to_record`."""
        return cls(**{**record, "outputs": tuple(record["outputs"]), "seen": tuple(record["seen"])})


def convolution(inputs: int, outputs: int, *, groups: int = 1, padding: int = 1) -> nn.Conv3d:
    """A 3x3x3 convolution, initialized by He's rule over what one of its groups puts out."""
    layer = nn.Conv3d(inputs, outputs, 3, padding=padding, groups=groups)
    nn.init.normal_(layer.weight, std=sqrt(2 / (outputs // groups * TAPS)))
    layer.bias = nn.Parameter(torch.zeros(outputs))
    return layer


class ResBlock(nn.Module):
    """x - concatenation of the functional units of x, one unit an order.

    The units run side by side: their first layers are one convolution, their second layers one grouped convolution.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        units, width = len(architecture.outputs), architecture.hidden
        self.first = convolution(architecture.channels, units * width)
        for weight in self.first.weight.data.split(width):  # each unit has its own fan-out
            nn.init.normal_(weight, std=sqrt(2 / (width * TAPS)))
        self.second = convolution(units * width, units * width, groups=units)
        last = [convolution(width, outputs) for outputs in architecture.outputs]
        for layer in last:
            nn.init.zeros_(layer.weight)
        self.last = nn.ModuleList(last)

    def forward(self, x: Float[Tensor, "b c 3 3 3"]) -> Float[Tensor, "b c 3 3 3"]:
        """One residual step."""
        hidden = torch.relu(self.second(torch.relu(self.first(x))))  # (b, units * width, 3, 3, 3)
        parts = hidden.chunk(len(self.last), dim=1)
        return x - torch.cat([layer(part) for layer, part in zip(self.last, parts, strict=True)], dim=1)


class SHResNet(nn.Module):
    """Channels of a 3x3x3 patch on the source scanner -> coefficients of its centre on the target scanner."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        channels = architecture.channels
        self.pre = convolution(architecture.inputs, channels)
        self.blocks = nn.Sequential(*(ResBlock(architecture) for _ in range(architecture.resblocks)))
        self.post = convolution(channels, channels)
        self.final = convolution(channels, channels, padding=0)  # 3x3x3 -> 1
        self.skip = nn.Linear(TAPS * architecture.inputs, channels) if architecture.skip else None
        if self.skip is not None:  # what it is set to (methods/shresnet.py) is where training starts
            nn.init.zeros_(self.skip.weight)
            nn.init.zeros_(self.skip.bias)
            nn.init.zeros_(self.final.weight)
        for parameter in self.parameters():
            if parameter.ndim == KERNEL_AXES:  # twice as fast on a CPU as the default layout
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)

    def forward(self, patches: Float[Tensor, "b n 3 3 3"]) -> Float[Tensor, "b c"]:
        """Predict the centre voxel; channels beyond those it looks at are ignored."""
        seen = patches[:, : self.architecture.inputs]
        before = self.pre(seen)
        after = self.post(self.blocks(before)) - before
        centre: Tensor = self.final(after).flatten(1)
        return centre if self.skip is None else centre + self.skip(seen.permute(0, 2, 3, 4, 1).flatten(1))


def build(architecture: Architecture, *, seed: int) -> SHResNet:
    """A new network whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SHResNet(architecture)
