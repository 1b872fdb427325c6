from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bids_shresnet.network.convolution import PatchConvolution
from bids_shresnet.network.plane_products import PlaneConvolution


def layer(inputs: int, outputs: int, seed: int = 0) -> PatchConvolution:
    torch.manual_seed(seed)
    convolution = PatchConvolution(inputs, outputs)
    torch.nn.init.normal_(convolution.bias)
    return convolution


@given(inputs=st.integers(1, 6), outputs=st.integers(1, 6), count=st.integers(0, 4))
@settings(max_examples=30)
def test_it_is_the_convolution_of_columns(inputs: int, outputs: int, count: int) -> None:
    convolution = layer(inputs, outputs)
    rows = torch.randn(count, 27, inputs)
    with torch.no_grad():
        expected = convolution(rows)
        columns = rows.permute(1, 2, 0).reshape(9, 3 * inputs, count)
        result = PlaneConvolution([convolution])(columns)
    result_rows = result.reshape(27, outputs, count).permute(2, 0, 1)
    torch.testing.assert_close(result_rows, expected, rtol=1e-5, atol=1e-5)


def test_results_of_several_convolutions_lie_one_after_another() -> None:
    convolutions = [layer(4, outputs, seed=outputs) for outputs in (1, 5, 9)]
    columns = torch.randn(9, 12, 7)
    with torch.no_grad():
        alone = [PlaneConvolution([convolution])(columns) for convolution in convolutions]
        together = PlaneConvolution(convolutions)(columns)
    torch.testing.assert_close(together, torch.cat(alone, dim=1))


def test_rounding_errors_are_as_small_as_those_of_the_convolution() -> None:
    convolution = layer(15, 45)
    rows = torch.randn(500, 27, 15)
    with torch.no_grad():
        direct = convolution(rows)
        columns = rows.permute(1, 2, 0).reshape(9, 45, -1)
        fast = PlaneConvolution([convolution])(columns).reshape(27, 45, -1).permute(2, 0, 1)
        exact = convolution.double()(rows.double())
    errors = [(result - exact).square().mean().sqrt() for result in (fast, direct)]
    assert errors[0] < 2 * errors[1]
    assert errors[0] < 1e-6 * exact.square().mean().sqrt()
