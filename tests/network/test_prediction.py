from __future__ import annotations

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_shresnet.network.prediction import Predictor
from bids_shresnet.network.shresnet import Architecture, SHResNet

OUTPUTS = st.lists(st.sampled_from([1, 5, 9]), min_size=1, max_size=4).map(tuple)
SHAPES = st.fixed_dictionaries(
    {
        "outputs": OUTPUTS,
        "resblocks": st.integers(0, 3),
        "hidden": st.integers(1, 6),
        "has_contrast": st.booleans(),
        "has_skip": st.booleans(),
        "input_counts": st.just(()) | OUTPUTS,
    }
)


def draw_patches(count: int, channels: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, channels, 3, 3, 3, generator=generator)


def filled(architecture: Architecture) -> SHResNet:
    """Make a network all of whose parameters are random."""
    network = SHResNet(architecture)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return network


@given(shape=SHAPES, unused=st.integers(0, 2))
@settings(max_examples=30)
def test_it_predicts_what_the_network_predicts(shape: dict[str, Any], unused: int) -> None:
    network = filled(Architecture(**shape))
    patches = draw_patches(5, network.architecture.input_channels + unused)
    before = patches.clone()
    with torch.no_grad():
        expected = network(patches)
    difference = Predictor(network)(patches) - expected
    assert difference.abs().max() < 2e-5 * expected.abs().max()
    assert torch.equal(patches, before)


def test_no_patches_have_no_predictions() -> None:
    network = filled(Architecture(resblocks=2))
    assert Predictor(network)(draw_patches(0, 16)).shape == (0, 15)


def test_a_default_network_is_predicted_to_a_hundred_thousandth() -> None:
    network = filled(Architecture(has_contrast=True, has_skip=True))
    patches = draw_patches(300, 16)
    with torch.no_grad():
        expected = network(patches)
    predicted = Predictor(network)(patches)
    assert (predicted - expected).abs().max() < 1e-5 * expected.abs().max()
