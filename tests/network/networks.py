"""Networks of all shapes with random weights, and random patches."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from jaxtyping import Float
from torch import Tensor, nn

OUTPUTS = st.lists(st.sampled_from([1, 5, 9]), min_size=1, max_size=4).map(tuple)
SHAPES = st.fixed_dictionaries(
    {
        "outputs": OUTPUTS,
        "resblocks": st.integers(0, 3),
        "hidden": st.integers(1, 6),
        "has_contrast": st.booleans(),
        "has_skip": st.booleans(),
    }
)


def fill(network: nn.Module, seed: int = 0) -> None:
    """Give every parameter, also those that start at zero, random values."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)


def patches(channels: int, count: int = 3) -> Float[Tensor, "b c 3 3 3"]:
    return torch.randn(count, channels, 3, 3, 3, generator=torch.Generator().manual_seed(1))
