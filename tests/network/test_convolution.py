from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv3d

from bids_shresnet.network.convolution import PatchConvolution
from bids_shresnet.network.patches import patches_to_rows, rows_to_patches


def layer(inputs: int, outputs: int) -> PatchConvolution:
    torch.manual_seed(0)
    convolution = PatchConvolution(inputs, outputs)
    torch.nn.init.normal_(convolution.bias)
    return convolution


@given(inputs=st.integers(1, 6), outputs=st.integers(1, 6), count=st.integers(0, 4))
@settings(max_examples=30)
def test_it_is_torchs_convolution_with_zeros_outside_and_so_are_its_gradients(
    inputs: int, outputs: int, count: int
) -> None:
    convolution = layer(inputs, outputs)
    rows = torch.randn(count, 27, inputs, requires_grad=True)
    result = convolution(rows)
    volumes = conv3d(rows_to_patches(rows), convolution.weight, convolution.bias, padding=1)
    expected = patches_to_rows(volumes)
    torch.testing.assert_close(result, expected)
    direction = torch.randn(result.shape)
    inputs_and_weights = (rows, convolution.weight, convolution.bias)
    gradients = torch.autograd.grad(result, inputs_and_weights, direction)
    expected_gradients = torch.autograd.grad(expected, inputs_and_weights, direction)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-4, atol=1e-5)


def test_the_centre_is_the_fourteenth_position() -> None:
    convolution = layer(3, 4)
    rows = torch.randn(5, 27, 3)
    centre = torch.einsum("bpi,opi->bo", rows, convolution.centre_weights()) + convolution.bias
    torch.testing.assert_close(centre, convolution(rows)[:, 13])


@given(inputs=st.integers(1, 6), outputs=st.integers(1, 6), count=st.integers(1, 4))
@settings(max_examples=20)
def test_weighted_sums_of_the_output_are_sums_of_the_input_with_other_weights(
    inputs: int, outputs: int, count: int
) -> None:
    convolution = layer(inputs, outputs)
    weights = torch.randn(count, 27, outputs)
    rows = torch.randn(5, 27, inputs)
    expected = torch.einsum("bpo,npo->bn", convolution(rows), weights)
    pulled, constants = convolution.pull_back(weights)
    sums = torch.einsum("bpi,npi->bn", rows, pulled) + constants
    torch.testing.assert_close(sums, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tap", [0, 5, 13, 26])
def test_a_kernel_of_one_tap_moves_the_patch(tap: int) -> None:
    """Tap (x, y, z) takes the neighbour at that step from the centre tap."""
    convolution = PatchConvolution(1, 1)
    grid = torch.arange(1.0, 28).reshape(3, 3, 3)
    step = torch.tensor([tap // 9, tap // 3 % 3, tap % 3]) - 1
    convolution.weight.data.zero_()
    convolution.weight.data.view(-1)[tap] = 1
    padded = torch.nn.functional.pad(grid, (1,) * 6)
    x, y, z = (step + 1).tolist()
    expected = padded[x : x + 3, y : y + 3, z : z + 3]
    moved = convolution(grid.reshape(1, 27, 1)).reshape(3, 3, 3)
    torch.testing.assert_close(moved, expected)


def test_its_state_is_a_kernel_and_a_bias() -> None:
    assert {name: value.shape for name, value in layer(2, 3).state_dict().items()} == {
        "weight": (3, 2, 3, 3, 3),
        "bias": (3,),
    }
