from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv3d

from bids_shresnet.network.convolution import PatchConvolution
from bids_shresnet.network.patches import patches_to_rows, rows_to_patches
from bids_shresnet.network.shresnet import (
    Architecture,
    FunctionalUnit,
    ResBlock,
    SHResNet,
    build_shresnet,
)
from tests.network.networks import SHAPES, fill, patches


def convolve(x: Float[Tensor, "b i 3 3 3"], layer: PatchConvolution) -> Float[Tensor, "b o 3 3 3"]:
    """Torch's convolution with the weights of a layer."""
    return conv3d(x, layer.weight, layer.bias, padding=1)


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_default_network_has_the_papers_parameters() -> None:
    assert count_parameters(SHResNet(Architecture())) == 103_530


@given(shape=SHAPES)
@settings(max_examples=20)
def test_parameters_are_those_of_the_layers_counted_one_by_one(shape: dict[str, Any]) -> None:
    architecture = Architecture(**shape)

    def layer(inputs: int, outputs: int) -> int:
        return 27 * inputs * outputs + outputs

    width = architecture.hidden
    channels = architecture.output_channels
    inputs = channels + architecture.has_contrast
    unit = layer(channels, width) + layer(width, width)
    block = sum(unit + layer(width, outputs) for outputs in architecture.outputs)
    convolutions = layer(inputs, channels) + 2 * layer(channels, channels)
    skip = (27 * inputs + 1) * channels if architecture.has_skip else 0
    expected = convolutions + architecture.resblocks * block + skip
    assert count_parameters(SHResNet(architecture)) == expected


@given(shape=SHAPES)
@settings(max_examples=20)
def test_a_resblock_starts_as_the_identity(shape: dict[str, Any]) -> None:
    architecture = Architecture(**shape)
    x = patches_to_rows(patches(architecture.output_channels))
    assert torch.equal(ResBlock(architecture)(x), x)


@given(shape=SHAPES)
@settings(max_examples=20)
def test_a_resblock_subtracts_from_each_order_the_output_of_a_unit_of_convolutions(
    shape: dict[str, Any],
) -> None:
    architecture = Architecture(**shape)
    block = ResBlock(architecture)
    x = patches(architecture.output_channels)
    fill(block)
    expected = []
    for unit, part in zip(block.units, x.split(architecture.outputs, dim=1), strict=True):
        assert isinstance(unit, FunctionalUnit)
        first = convolve(x, unit.first).relu()
        second = convolve(first, unit.second).relu()
        expected.append(part - convolve(second, unit.last))
    result = rows_to_patches(block(patches_to_rows(x)))
    torch.testing.assert_close(result, torch.cat(expected, dim=1))


def test_the_blocks_lie_between_two_convolutions_inside_an_outer_residual() -> None:
    network = SHResNet(Architecture(resblocks=2))
    x = patches(15)
    fill(network)
    before = convolve(x, network.pre)
    inside = rows_to_patches(network.blocks[1](network.blocks[0](patches_to_rows(before))))
    after = convolve(inside, network.post) - before
    centre = convolve(after, network.final)[:, :, 1, 1, 1]
    torch.testing.assert_close(network(x), centre, rtol=1e-4, atol=1e-4)


def test_a_zeroed_final_layer_gives_exactly_its_bias() -> None:
    network = SHResNet(Architecture())
    x = patches(15)
    fill(network)
    nn.init.zeros_(network.final.weight)
    assert torch.equal(network(x), network.final.bias.expand(len(x), -1))


def test_a_seed_decides_all_weights_and_leaves_the_callers_random_numbers_alone() -> None:
    state = torch.random.get_rng_state()
    weights = build_shresnet(Architecture(), seed=1).state_dict()
    same = build_shresnet(Architecture(), seed=1).state_dict()
    other = build_shresnet(Architecture(), seed=2).state_dict()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    assert not torch.equal(weights["pre.weight"], other["pre.weight"])


@pytest.mark.parametrize(
    "layer", ["pre", "blocks.0.units.0.first", "blocks.0.units.2.second", "final"]
)
def test_layers_start_with_hes_spread_over_what_one_unit_puts_out(layer: str) -> None:
    """std^2 = 2 / (27 x outputs of one unit's layer): He et al. 2015, fan-out."""
    convolution = build_shresnet(Architecture(), seed=0).get_submodule(layer)
    assert isinstance(convolution, PatchConvolution)
    assert convolution.weight.std().item() == pytest.approx((2 / (27 * 15)) ** 0.5, rel=0.05)


@given(shape=SHAPES)
@settings(max_examples=20)
def test_a_record_rebuilds_its_architecture(shape: dict[str, Any]) -> None:
    architecture = Architecture(**shape)
    assert Architecture.from_record(architecture.to_record()) == architecture


@given(shape=SHAPES)
@settings(max_examples=20)
def test_channels_that_a_network_does_not_use_change_nothing(shape: dict[str, Any]) -> None:
    architecture = Architecture(**shape)
    network = SHResNet(architecture)
    x = patches(architecture.output_channels + 2)
    fill(network)
    other = x.clone()
    other[:, architecture.input_channels :] += 1
    assert torch.equal(network(other), network(x))


@pytest.mark.parametrize("contrast", [True, False])
def test_the_contrast_is_the_channel_after_the_coefficients(contrast: bool) -> None:
    network = SHResNet(Architecture((1, 5), has_contrast=contrast))
    x = patches(7)
    fill(network)
    other = x.clone()
    other[:, 6] += 1
    assert torch.equal(network(other), network(x)) != contrast


def test_with_a_skip_a_network_starts_as_the_linear_map_it_is_given() -> None:
    """Weights times a patch in C order (channels fastest), plus a bias."""
    network = build_shresnet(Architecture((1, 5), has_contrast=True, has_skip=True), seed=0)
    x = patches(7)
    assert torch.equal(network(x), torch.zeros(len(x), 6))
    assert network.skip is not None
    generator = torch.Generator().manual_seed(2)
    nn.init.normal_(network.skip.weight, generator=generator)
    nn.init.normal_(network.skip.bias, generator=generator)
    weights = network.skip.weight.reshape(6, 3, 3, 3, 7)
    expected = torch.einsum("oxyzc,bcxyz->bo", weights, x) + network.skip.bias
    torch.testing.assert_close(network(x), expected)


def test_the_output_of_the_blocks_is_added_to_the_skip() -> None:
    plain = SHResNet(Architecture((1, 5)))
    network = SHResNet(Architecture((1, 5), has_skip=True))
    fill(network)
    weights = network.state_dict()
    plain.load_state_dict({name: weights[name] for name in plain.state_dict()})
    x = patches(6)
    assert network.skip is not None
    linear = network.skip(x.permute(0, 2, 3, 4, 1).flatten(1))
    torch.testing.assert_close(network(x), plain(x) + linear)


def test_with_a_skip_only_the_blocks_learn_and_their_first_gradients_are_not_zero() -> None:
    network = build_shresnet(Architecture((1, 5), has_contrast=True, has_skip=True), seed=0)
    x = patches(7, count=20)
    network(x).square().add(network(x)).sum().backward()
    assert network.skip is not None
    assert network.skip.weight.grad is None
    last = network.get_submodule("blocks.1.units.1.last")
    assert isinstance(last, PatchConvolution)
    assert last.weight.grad is not None
    assert last.weight.grad.norm() > 0
