"""A 3x3x3 convolution of a 3x3x3 patch, computed as matrix products.

A patch is hardly larger than the kernel, so the convolution is a nearly full linear map from 27
positions to 27 positions. Along the first axis, an outer plane of nine positions sees two planes
and the middle one sees three, which are contiguous columns of the rows. Three products of one
matrix (with its rows for two or three planes) therefore give all planes, without a copy. On a CPU
this trains several times faster than torch's convolution (benchmarks/training.py).
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from bids_shresnet.network.patches import NEIGHBOUR_OFFSETS

KERNEL_TAPS = 27  # of a kernel, and positions of a patch, in C order
PLANE_SIZE = 9  # positions of a patch with the same first index


class PatchConvolution(nn.Module):
    """Convolve the channels of a patch, with zeros outside of it.

    Weights start with He's standard deviation over the outputs (He et al. 2015).
    """

    tap_map: Tensor  # 1 where a tap of a plane connects an input position with an output position

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(_draw_weights(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("tap_map", _make_tap_map(), persistent=False)

    def forward(self, rows: Float[Tensor, "b 27 i"]) -> Float[Tensor, "b 27 o"]:
        """Convolve at all 27 positions."""
        out: Tensor = _PlaneProducts.apply(  # type: ignore[no-untyped-call]
            rows.flatten(1), self._matrix(), self.bias
        )
        return out

    def centre_weights(self) -> Float[Tensor, "o 27 i"]:
        """Weights that the output at the centre, without its bias, gives to the input."""
        return self.weight.flatten(2).transpose(1, 2)

    def pull_back(
        self, weights: Float[Tensor, "n 27 o"]
    ) -> tuple[Float[Tensor, "n 27 i"], Float[Tensor, " n"]]:
        """Turn weighted sums of the output into weighted sums of the input, plus constants."""
        first, middle, last = weights.flatten(1).chunk(3, dim=1)
        matrix = self._matrix()
        plane = len(matrix) // 3
        pulled = middle @ matrix.T
        pulled = pulled + pad(first @ matrix[plane:].T, (0, plane))
        pulled = pulled + pad(last @ matrix[: 2 * plane].T, (plane, 0))
        return pulled.view(len(weights), KERNEL_TAPS, -1), weights.sum(1) @ self.bias

    def _matrix(self) -> Float[Tensor, "m n"]:
        """Matrix from (position, input channel) to (position of the middle plane, output)."""
        outputs, inputs = self.weight.shape[:2]
        taps = self.weight.permute(3, 4, 2, 1, 0).reshape(PLANE_SIZE, -1)  # of a plane, first
        connections = (self.tap_map @ taps).view(PLANE_SIZE, PLANE_SIZE, 3, inputs, outputs)
        # (input position, output position, plane, ..) to (plane, input position, input, ..)
        ordered = connections.permute(2, 0, 3, 1, 4)
        return ordered.reshape(KERNEL_TAPS * inputs, PLANE_SIZE * outputs)


class _PlaneProducts(torch.autograd.Function):
    """`_multiply_planes` without copies: products and gradients are written where they belong."""

    @staticmethod
    def forward(rows: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
        plane_bias = bias.repeat(PLANE_SIZE)
        out = rows.new_empty(len(rows), KERNEL_TAPS, len(bias))
        planes = out.view(len(rows), KERNEL_TAPS * len(bias)).chunk(3, dim=1)
        for plane, (columns, part) in zip(planes, _visible(matrix), strict=True):
            torch.addmm(plane_bias, rows[:, columns], matrix[part], out=plane)
        return out

    @staticmethod
    def vmap(_: Any, in_dims: tuple[int | None, ...], *tensors: Tensor) -> tuple[Tensor, int]:
        stacked: Tensor = torch.vmap(_multiply_planes, in_dims)(*tensors)
        return stacked, 0

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], _: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        rows, matrix = ctx.saved_tensors
        parts = gradient.flatten(1).chunk(3, dim=1)
        visible = _visible(matrix)
        matrix_gradient = rows.T @ parts[1]
        rows_gradient = parts[1] @ matrix.T if ctx.needs_input_grad[0] else None
        for plane in (0, 2):
            columns, part = visible[plane]
            matrix_gradient[part] += rows[:, columns].T @ parts[plane]
            if rows_gradient is not None:
                rows_gradient[:, columns] += parts[plane] @ matrix[part].T
        bias_gradient = gradient.sum((0, 1))
        return rows_gradient, matrix_gradient, bias_gradient


def _multiply_planes(
    rows: Float[Tensor, "b m"], matrix: Float[Tensor, "m n"], bias: Float[Tensor, " o"]
) -> Float[Tensor, "b 27 o"]:
    """Multiply the planes that each output plane sees."""
    plane_bias = bias.repeat(PLANE_SIZE)
    products = [
        torch.addmm(plane_bias, rows[:, columns], matrix[part])
        for columns, part in _visible(matrix)
    ]
    return torch.cat(products, dim=1).view(len(rows), KERNEL_TAPS, len(bias))


def _draw_weights(outputs: int, inputs: int) -> Float[Tensor, "o i 3 3 3"]:
    """Draw the first weights; on torch's device "meta" they have no values.

    For random numbers on that device, torch would import 800 modules in more than a second.
    """
    weights = torch.empty(outputs, inputs, 3, 3, 3)
    if weights.is_meta:
        return weights
    return torch.randn_like(weights) * sqrt(2 / (outputs * KERNEL_TAPS))


def _visible(matrix: Tensor) -> tuple[tuple[slice, slice], ...]:
    """Columns of the rows that each output plane sees, and the rows of the matrix for them."""
    size = len(matrix)
    plane = size // 3
    return (
        (slice(0, 2 * plane), slice(plane, size)),
        (slice(0, size), slice(0, size)),
        (slice(plane, size), slice(0, 2 * plane)),
    )


def _make_tap_map() -> Float[Tensor, "81 9"]:
    """Make one row per pair of input and (faster) output position of planes, a column per tap."""
    offsets = NEIGHBOUR_OFFSETS[:PLANE_SIZE, 1:]
    steps = offsets[:, None] - offsets[None]
    return (steps[:, :, None] == offsets).all(-1).flatten(0, 1).float()
