"""SHResNet (Koppers et al. 2018): a residual network on patches of spherical-harmonic coefficients.

The paper leaves these points open; the network is built as follows. A functional unit sees all
coefficients and keeps their number inside. Its output is subtracted from its input. One convolution
comes before the ResBlocks and one after them, each with its own weights. The two ReLUs of a unit
are the only activations, because coefficients are signed. The last layers of the units start at
zero, so that every ResBlock starts as the identity.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bids_shresnet.network.convolution import KERNEL_TAPS, PatchConvolution
from bids_shresnet.network.patches import patches_to_rows


@dataclass(frozen=True)
class Architecture:
    """Parameters that the network is built from.

    Attributes
    ----------
    outputs
        Coefficients of each functional unit, in the order of the stack: (1, 5, 9) for one shell of
        order 4.
    resblocks
        Number of ResBlocks.
    hidden
        Channels inside a functional unit. The paper keeps the number of coefficients.
    has_contrast
        True if the network also sees the contrast of S0, the last channel of a patch.
    has_skip
        True if a linear map of the whole patch is added to the output.
    input_counts
        Coefficients of each order and shell of the patch, if they are not those of `outputs`.
    """

    outputs: tuple[int, ...] = (1, 5, 9)
    resblocks: int = 2
    hidden: int = 15
    has_contrast: bool = False
    has_skip: bool = False
    input_counts: tuple[int, ...] = ()

    @property
    def output_channels(self) -> int:
        """Number of predicted coefficients, all orders and shells."""
        return sum(self.outputs)

    @property
    def input_channels(self) -> int:
        """Number of channels of a patch that the network uses."""
        return sum(self.input_counts or self.outputs) + self.has_contrast

    def to_record(self) -> dict[str, Any]:
        """Return the parameters as plain JSON."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Architecture:
        """Invert `to_record`, also after JSON has turned tuples into lists."""
        counts = {name: tuple(record[name]) for name in ("outputs", "input_counts")}
        return cls(**(record | counts))


class FunctionalUnit(nn.Module):
    """Correct the coefficients of one order and shell, given all coefficients."""

    def __init__(self, channels: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.first = PatchConvolution(channels, hidden)
        self.second = PatchConvolution(hidden, hidden)
        self.last = PatchConvolution(hidden, outputs)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Float[Tensor, "b 27 c"]) -> Float[Tensor, "b 27 o"]:
        """Apply two convolutions with a ReLU and one without."""
        x = torch.relu(self.first(x))
        x = torch.relu(self.second(x))
        correction: Tensor = self.last(x)
        return correction


class ResBlock(nn.Module):
    """Subtract the corrections of all functional units."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.units = nn.ModuleList(
            FunctionalUnit(architecture.output_channels, architecture.hidden, outputs)
            for outputs in architecture.outputs
        )

    def forward(self, x: Float[Tensor, "b 27 c"]) -> Float[Tensor, "b 27 c"]:
        """Return x minus the concatenated corrections."""
        return x - torch.cat([unit(x) for unit in self.units], dim=-1)


class SHResNet(nn.Module):
    """Predict a voxel's coefficients on the target scanner from its patch on the source scanner."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        inputs = architecture.input_channels
        channels = architecture.output_channels
        self.pre = PatchConvolution(inputs, channels)
        self.blocks = nn.Sequential(
            *(ResBlock(architecture) for _ in range(architecture.resblocks))
        )
        self.post = PatchConvolution(channels, channels)
        self.final = PatchConvolution(channels, channels)
        self.skip = nn.Linear(KERNEL_TAPS * inputs, channels) if architecture.has_skip else None
        if self.skip is not None:  # methods/networks/shresnet.py sets it before training
            nn.init.zeros_(self.skip.weight)
            nn.init.zeros_(self.skip.bias)
            nn.init.zeros_(self.final.weight)

    def forward(self, patches: Float[Tensor, "b n 3 3 3"]) -> Float[Tensor, "b c"]:
        """Predict the centre voxel. Channels beyond the network's input are ignored."""
        rows = patches_to_rows(patches)[..., : self.architecture.input_channels]
        before = self.pre(rows)
        after = self.post(self.blocks(before)) - before
        centre = self.final.convolve_centre(after)
        return centre if self.skip is None else centre + self.skip(rows.flatten(1))


def build_shresnet(architecture: Architecture, *, seed: int) -> SHResNet:
    """Build a network whose initial weights depend on the seed only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SHResNet(architecture)
