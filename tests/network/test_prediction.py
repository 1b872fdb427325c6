from __future__ import annotations

from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_shresnet.network.prediction import Predictor
from bids_shresnet.network.shresnet import Architecture, SHResNet
from tests.network.networks import OUTPUTS, SHAPES, fill, patches


def filled(architecture: Architecture) -> SHResNet:
    """Make a network all of whose parameters are random."""
    network = SHResNet(architecture)
    fill(network)
    return network


@given(shape=SHAPES, input_counts=st.just(()) | OUTPUTS, unused=st.integers(0, 2))
@settings(max_examples=30)
def test_it_predicts_what_the_network_predicts(
    shape: dict[str, Any], input_counts: tuple[int, ...], unused: int
) -> None:
    network = filled(Architecture(**shape, input_counts=input_counts))
    given_patches = patches(network.architecture.input_channels + unused, 5)
    before = given_patches.clone()
    with torch.no_grad():
        expected = network(given_patches)
    difference = Predictor(network)(given_patches) - expected
    assert difference.abs().max() < 2e-5 * expected.abs().max()
    assert torch.equal(given_patches, before)


def test_no_patches_have_no_predictions() -> None:
    network = filled(Architecture(resblocks=2))
    assert Predictor(network)(patches(16, 0)).shape == (0, 15)


def test_a_default_network_is_predicted_to_a_hundred_thousandth() -> None:
    network = filled(Architecture(has_contrast=True, has_skip=True))
    given_patches = patches(16, 300)
    with torch.no_grad():
        expected = network(given_patches)
    predicted = Predictor(network)(given_patches)
    assert (predicted - expected).abs().max() < 1e-5 * expected.abs().max()
