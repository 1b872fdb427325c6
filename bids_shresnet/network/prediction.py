"""A trained SHResNet, prepared to predict many voxels in less than half the time of the network.

The patches of a chunk are columns, so that every layer is a few large matrix products with a
quarter of the multiplications (`plane_products.py`). The results differ by rounding.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from bids_shresnet.network.convolution import PLANE_SIZE
from bids_shresnet.network.patches import patches_to_rows
from bids_shresnet.network.plane_products import PlaneConvolution
from bids_shresnet.network.shresnet import FunctionalUnit, ResBlock, SHResNet


class Predictor:
    """Predict as a network with its weights of now, without gradients."""

    @torch.inference_mode()
    def __init__(self, network: SHResNet) -> None:
        self.inputs = network.architecture.input_channels
        self.pre = PlaneConvolution([network.pre])
        self.blocks = [_Block(block) for block in network.blocks if isinstance(block, ResBlock)]
        centre = network.final.centre_weights()
        inside, constant = network.post.pull_back(centre)
        self.before_weights = -centre.flatten(1)
        self.inside_weights = inside.flatten(1)
        self.hidden_weights = []
        self.constant = (constant + network.final.bias)[:, None]
        if self.blocks:
            for pulled, constant in self.blocks[-1].pull_back(inside):
                self.hidden_weights.append(-pulled.flatten(1))
                self.constant = self.constant - constant[:, None]
        self.skip = network.skip

    @torch.inference_mode()
    def __call__(self, patches: Float[Tensor, "b n 3 3 3"]) -> Float[Tensor, "b c"]:
        """Predict the centre voxel. Channels beyond the network's input are ignored."""
        rows = patches_to_rows(patches)[..., : self.inputs].flatten(1).T.contiguous()
        x = self.pre(rows.view(PLANE_SIZE, 3 * self.inputs, len(patches)))
        total = self.constant + self.before_weights @ x.flatten(0, 1)
        if self.skip is not None:
            total += self.skip.weight @ rows + self.skip.bias[:, None]
        for block in self.blocks[:-1]:
            block.subtract_corrections(x)
        total += self.inside_weights @ x.flatten(0, 1)
        if self.blocks:
            hidden = self.blocks[-1].hidden(x)
            for weights, values in zip(self.hidden_weights, hidden, strict=True):
                total += weights @ values.flatten(0, 1)
        return total.T.contiguous()


class _Block:
    """A ResBlock of columns."""

    def __init__(self, block: ResBlock) -> None:
        self.units = [unit for unit in block.units if isinstance(unit, FunctionalUnit)]
        self.outputs = block.outputs
        self.first = PlaneConvolution([unit.first for unit in self.units])
        self.second = [PlaneConvolution([unit.second]) for unit in self.units]
        self.last = [PlaneConvolution([unit.last]) for unit in self.units]

    def pull_back(
        self, weights: Float[Tensor, "n 27 c"]
    ) -> Iterator[tuple[Float[Tensor, "n 27 h"], Float[Tensor, " n"]]]:
        """Yield weights of each hidden layer, and constants, from weights of the corrections."""
        for unit, part in zip(self.units, weights.split(self.outputs, dim=-1), strict=True):
            yield unit.last.pull_back(part)

    def hidden(self, x: Float[Tensor, "9 i b"]) -> Iterator[Float[Tensor, "9 h b"]]:
        """Yield the hidden layer before the last convolution of each functional unit."""
        first = torch.relu_(self.first(x))
        for second, rows in zip(self.second, first.chunk(len(self.second), dim=1), strict=True):
            yield torch.relu_(second(rows))

    def subtract_corrections(self, x: Float[Tensor, "9 i b"]) -> None:
        """Subtract the corrections of all functional units in place."""
        hidden = [*self.hidden(x)]
        channels = x.view(PLANE_SIZE, 3, sum(self.outputs), x.shape[-1])
        for part, last, rows in zip(
            channels.split(self.outputs, 2), self.last, hidden, strict=True
        ):
            part.sub_(last(rows).view(part.shape))
