"""SHResNet (Koppers et al. 2018): a residual network on 3x3x3 patches of spherical-harmonic coefficients.

What the paper leaves open is chosen as follows: a functional unit sees all coefficients and keeps their number inside;
its output is subtracted from its input; one convolution before and one after the ResBlocks, each with its own weights;
no activation but the two ReLUs of a unit, since coefficients are signed; the last layers of the units start at zero, so
that every ResBlock starts as the identity.
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
    """All that is needed to build the network anew.

    Attributes
    ----------
    outputs
        Coefficients of each functional unit, in the order of the stack: (1, 5, 9) for one shell of order 4.
    resblocks
        Number of ResBlocks.
    hidden
        Channels inside a functional unit; the paper keeps the number of coefficients.
    has_contrast
        Whether the network also sees the contrast of S0, the last channel of a patch.
    has_skip
        Whether a linear map of the whole patch is added to the output. The network then learns what it cannot do.
    input_counts
        The same as `outputs` of what it sees, where that is not what it predicts.
    """

    outputs: tuple[int, ...] = (1, 5, 9)
    resblocks: int = 2
    hidden: int = 15
    has_contrast: bool = False
    has_skip: bool = False
    input_counts: tuple[int, ...] = ()

    @property
    def output_channels(self) -> int:
        """Coefficients that are predicted, all orders and shells."""
        return sum(self.outputs)

    @property
    def input_channels(self) -> int:
        """Channels of a patch that the network looks at."""
        return sum(self.input_counts or self.outputs) + self.has_contrast

    def to_record(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Architecture:
        """From `calibration_record`."""
        return cls(
            **{
                **record,
                "outputs": tuple(record["outputs"]),
                "input_counts": tuple(record["input_counts"]),
            }
        )


class FunctionalUnit(nn.Module):
    """All coefficients -> a correction of those of one order and shell."""

    def __init__(self, channels: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.first = PatchConvolution(channels, hidden)
        self.second = PatchConvolution(hidden, hidden)
        self.last = PatchConvolution(hidden, outputs)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Float[Tensor, "b 27 c"]) -> Float[Tensor, "b 27 o"]:
        """Two layers with a ReLU, and one without."""
        correction: Tensor = self.last(torch.relu(self.second(torch.relu(self.first(x)))))
        return correction


class ResBlock(nn.Module):
    """x - concatenation of the functional units of x."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        channels, hidden = architecture.output_channels, architecture.hidden
        self.units = nn.ModuleList(
            FunctionalUnit(channels, hidden, outputs) for outputs in architecture.outputs
        )

    def forward(self, x: Float[Tensor, "b 27 c"]) -> Float[Tensor, "b 27 c"]:
        """One residual step."""
        return x - torch.cat([unit(x) for unit in self.units], dim=-1)


class SHResNet(nn.Module):
    """Channels of a 3x3x3 patch on the source scanner -> coefficients of its centre on the target scanner."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        channels = architecture.output_channels
        self.pre = PatchConvolution(architecture.input_channels, channels)
        self.blocks = nn.Sequential(
            *(ResBlock(architecture) for _ in range(architecture.resblocks))
        )
        self.post = PatchConvolution(channels, channels)
        self.final = PatchConvolution(channels, channels)  # of the centre
        self.skip = (
            nn.Linear(KERNEL_TAPS * architecture.input_channels, channels)
            if architecture.has_skip
            else None
        )
        if (
            self.skip is not None
        ):  # what it is set to (methods/shresnet.py) is where training starts
            nn.init.zeros_(self.skip.weight)
            nn.init.zeros_(self.skip.bias)
            nn.init.zeros_(self.final.weight)

    def forward(self, patches: Float[Tensor, "b n 3 3 3"]) -> Float[Tensor, "b c"]:
        """Predict the centre voxel; channels beyond those it looks at are ignored."""
        seen = patches_to_rows(patches)[..., : self.architecture.input_channels]
        before = self.pre(seen)
        after = self.post(self.blocks(before)) - before
        centre = self.final.convolve_centre(after)
        return centre if self.skip is None else centre + self.skip(seen.flatten(1))


def build_shresnet(architecture: Architecture, *, seed: int) -> SHResNet:
    """A new network whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SHResNet(architecture)
