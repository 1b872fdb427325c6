"""3x3x3 patches of a volume of channels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

PATCHES_PER_CHUNK = 2048  # activations of 3 MB, which stay in the cache of a core
PREDICTED_PER_CHUNK = 1000  # no power of two: columns so far apart evict each other from a cache

# Voxel steps to the 27 neighbours in C order (x slowest), as a 3x3x3 patch lies in memory.
NEIGHBOUR_OFFSETS = torch.cartesian_prod(*(torch.arange(-1, 2),) * 3)
CENTRE_INDEX = 13  # of the 27 neighbours


def cut_patches(
    volume: Float[Tensor, "x y z n"], voxels: Int[Tensor, "v 3"]
) -> Float[Tensor, "v n 3 3 3"]:
    """Cut the patches around voxels. Neighbours outside the volume are zero."""
    return _cut_padded(_pad_volume(volume), voxels)


def apply_to_patches(
    function: Callable[[Float[Tensor, "b n 3 3 3"]], Float[Tensor, "b c"]],
    volume: Float[Tensor, "x y z n"],
    voxels: Int[Tensor, "v 3"],
) -> Float[Tensor, "v c"]:
    """Apply a function to the patch of each voxel, chunk by chunk and without gradients."""
    with torch.inference_mode():
        padded = _pad_volume(volume)
        return torch.cat(
            [function(_cut_padded(padded, chunk)) for chunk in voxels.split(PREDICTED_PER_CHUNK)]
        )


def _pad_volume(volume: Float[Tensor, "x y z n"]) -> Float[Tensor, "px py pz n"]:
    """Surround a volume with one layer of zeros."""
    return pad(volume, (0, 0, 1, 1, 1, 1, 1, 1))


def _cut_padded(
    padded: Float[Tensor, "px py pz n"], voxels: Int[Tensor, "v 3"]
) -> Float[Tensor, "v n 3 3 3"]:
    """Cut the patches around voxels of a padded volume, whose indices are those without padding."""
    i, j, k = (voxels[:, None] + NEIGHBOUR_OFFSETS.to(voxels) + 1).unbind(-1)
    return rows_to_patches(padded[i, j, k])


def rows_to_patches(rows: Float[Tensor, "v 27 n"]) -> Float[Tensor, "v n 3 3 3"]:
    """View rows of 27 neighbours as patches. The memory layout (channels last) does not change."""
    return rows.reshape(len(rows), 3, 3, 3, rows.shape[2]).permute(0, 4, 1, 2, 3)


def patches_to_rows(patches: Float[Tensor, "v n 3 3 3"]) -> Float[Tensor, "v 27 n"]:
    """Invert `rows_to_patches`."""
    return patches.permute(0, 2, 3, 4, 1).flatten(1, 3)
