"""SHResNet (Koppers et al. 2018): a residual network on patches of spherical-harmonic coefficients.

The paper leaves these points open; the network is built as follows. A functional unit sees all
coefficients and keeps their number inside. Its output is subtracted from its input. One convolution
comes before the ResBlocks and one after them, each with its own weights. The two ReLUs of a unit
are the only activations, because coefficients are signed. The last layers of the units start at
zero, so that every ResBlock starts as the identity.

With a linear skip, which is fitted before training and stays as it is, the network starts as the
skip alone: the convolution after the blocks starts as the identity and its input is subtracted. The
first gradients then reach the blocks' corrections. If the final convolution started at zero
instead, as is usual, a network that starts at the best linear map would have nearly no gradient:
it took twice the voxels to the same error.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bids_shresnet.network.convolution import KERNEL_TAPS, PatchConvolution
from bids_shresnet.network.patches import patches_to_rows

CORRECTION_SCALE = 0.1  # of the first corrections to the skip; 0.3 and 1 trained worse


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
        True if a linear map of the whole patch is added to the output. It is not trained.
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
        correction: Tensor = self.last(self.hidden(x))
        return correction

    def hidden(self, x: Float[Tensor, "b 27 c"]) -> Float[Tensor, "b 27 h"]:
        """Apply the convolutions with a ReLU."""
        return torch.relu_(self.second(torch.relu_(self.first(x))))


class ResBlock(nn.Module):
    """Subtract the corrections of all functional units."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.outputs = architecture.outputs
        self.units = nn.ModuleList(
            FunctionalUnit(architecture.output_channels, architecture.hidden, outputs)
            for outputs in architecture.outputs
        )

    def forward(self, x: Float[Tensor, "b 27 c"]) -> Float[Tensor, "b 27 c"]:
        """Return x minus the concatenated corrections."""
        return x - torch.cat([unit(x) for unit in self.units], dim=-1)

    def sum_output(
        self, x: Float[Tensor, "b 27 c"], weights: Float[Tensor, "n 27 c"]
    ) -> Float[Tensor, "b n"]:
        """Compute weighted sums of the output without the output itself."""
        total = _sum_rows(x, weights)
        for unit, part in zip(self.units, weights.split(self.outputs, dim=-1), strict=True):
            assert isinstance(unit, FunctionalUnit)
            pulled, constant = unit.last.pull_back(part)
            total = total - _sum_rows(unit.hidden(x), pulled) - constant
        return total


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
            self.skip.requires_grad_(False)
            nn.init.dirac_(self.post.weight)
            self.final.weight.data *= CORRECTION_SCALE

    def forward(self, patches: Float[Tensor, "b n 3 3 3"]) -> Float[Tensor, "b c"]:
        """Predict the centre voxel. Channels beyond the network's input are ignored.

        The linear layers after the last ReLU are multiplied with one another before they are
        applied, because only the centre of their result is needed.
        """
        rows = patches_to_rows(patches)[..., : self.architecture.input_channels]
        before = self.pre(rows)
        weights = self.final.centre_weights()
        inside_weights, constant = self.post.pull_back(weights)
        after = self._sum_blocks(before, inside_weights) - _sum_rows(before, weights)
        centre = after + constant + self.final.bias
        return centre if self.skip is None else centre + self.skip(rows.flatten(1))

    def _sum_blocks(
        self, x: Float[Tensor, "b 27 c"], weights: Float[Tensor, "n 27 c"]
    ) -> Float[Tensor, "b n"]:
        """Compute weighted sums of the output of all ResBlocks."""
        if not self.blocks:
            return _sum_rows(x, weights)
        *earlier, last = self.blocks
        for block in earlier:
            x = block(x)
        assert isinstance(last, ResBlock)
        return last.sum_output(x, weights)


def _sum_rows(
    rows: Float[Tensor, "b 27 c"], weights: Float[Tensor, "n 27 c"]
) -> Float[Tensor, "b n"]:
    """Compute weighted sums of all values of a patch."""
    return rows.flatten(1) @ weights.flatten(1).T


def build_shresnet(architecture: Architecture, *, seed: int) -> SHResNet:
    """Build a network whose initial weights depend on the seed only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SHResNet(architecture)
