"""A 3x3x3 convolution of a 3x3x3 patch with a quarter of the multiplications, for prediction.

Along one axis, three values with zeros outside are convolved by a matrix of three equal diagonals:

    y0 = w1 x0 + w2 x1,    y1 = w0 x0 + w1 x1 + w2 x2,    y2 = w0 x1 + w1 x2.

That takes seven multiplications, or four of sums. With c^2 - d^2 = 2 and the vectors e = (1, c, 1),
f = (1, -c, 1), g = (1, -d, -1) and h = (-1, -d, 1),

    y = ((e.w) (e.x) e - (f.w) (f.x) f) / 4c + ((g.w) (h.x) g + (h.w) (g.x) h) / 4d.

Along the first two axes of a patch, 16 products thus replace 49. Along the third axis the matrices
stay full, so that they are large enough for a processor. Sums of weights are made once. Those of
values, and of products, are matrix products themselves. Rounding errors are as small as without.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from bids_shresnet.network.convolution import PLANE_SIZE, PatchConvolution

EVEN = 1.5  # c; few digits, and sums and products of the same size
ODD = 0.5  # d
# e, f, g and h
VECTORS = torch.tensor(
    [[1, EVEN, 1], [1, -EVEN, 1], [1, -ODD, -1], [-1, -ODD, 1]], dtype=torch.float64
)
SCALES = torch.tensor([1 / EVEN, -1 / EVEN, 1 / ODD, 1 / ODD], dtype=torch.float64) / 4
SUMS_OF_TAPS = SCALES[:, None] * VECTORS
SUMS_OF_VALUES = VECTORS[[0, 1, 3, 2]]
SUMS_OF_PRODUCTS = VECTORS.T
PRODUCTS = 16  # for the nine positions of two axes
# Whether a tap sees an input position from an output position
IS_VISIBLE = torch.stack([torch.eye(3).roll(tap - 1, 1).tril(1).triu(-1) for tap in range(3)])


class PlaneConvolution:
    """Convolutions of the same patches, whose results lie one after another.

    A patch is a column. It has a row for each position of the first two axes, position of the third
    axis and channel; each convolution has such rows in its result.
    """

    def __init__(self, convolutions: Sequence[PatchConvolution]) -> None:
        self.matrices = torch.cat([_make_matrices(each.weight) for each in convolutions], dim=1)
        self.bias = torch.cat([each.bias.repeat(3) for each in convolutions])[:, None]
        self.before = torch.kron(SUMS_OF_VALUES, SUMS_OF_VALUES).to(self.bias)
        self.after = torch.kron(SUMS_OF_PRODUCTS, SUMS_OF_PRODUCTS).to(self.bias)

    def __call__(self, rows: Float[Tensor, "9 i b"]) -> Float[Tensor, "9 o b"]:
        """Convolve at all positions."""
        sums = (self.before @ rows.flatten(1)).view(PRODUCTS, *rows.shape[1:])
        products = torch.bmm(self.matrices, sums)
        out = (self.after @ products.flatten(1)).view(PLANE_SIZE, *products.shape[1:])
        return out.add_(self.bias)


def _make_matrices(weight: Float[Tensor, "o i 3 3 3"]) -> Float[Tensor, "16 m n"]:
    """Make the matrix of each product, from rows (position of the third axis, input) to rows."""
    taps = SUMS_OF_TAPS.to(weight.device)
    is_visible = IS_VISIBLE.to(taps)
    matrices = torch.einsum("rx,sy,zcd,oixyz->rscodi", taps, taps, is_visible, weight.double())
    outputs, inputs = weight.shape[:2]
    return matrices.reshape(PRODUCTS, 3 * outputs, 3 * inputs).to(weight.dtype)
