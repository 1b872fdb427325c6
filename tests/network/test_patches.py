from __future__ import annotations

from itertools import product

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bids_shresnet.network.patches import (
    NEIGHBOUR_OFFSETS,
    cut_patches,
    patches_to_rows,
    rows_to_patches,
)


def volume_and_voxels() -> tuple[Float[Tensor, "x y z c"], Int[Tensor, "v 3"]]:
    """All voxels of a small volume, its faces, edges and corners among them, in no order."""
    generator = torch.Generator().manual_seed(0)
    volume = torch.randn(3, 4, 5, 2, generator=generator)
    voxels = torch.tensor(list(product(range(3), range(4), range(5))))
    return volume, voxels[torch.randperm(len(voxels), generator=generator)]


def neighbourhood(
    volume: Float[Tensor, "x y z c"], voxel: Int[Tensor, " 3"]
) -> Float[np.ndarray, "c 3 3 3"]:
    """One patch, neighbour by neighbour, zero outside."""
    patch = np.zeros((volume.shape[3], 3, 3, 3), dtype=np.float32)
    for step in product(range(3), repeat=3):
        position = tuple((voxel + torch.tensor(step) - 1).tolist())
        if all(0 <= p < size for p, size in zip(position, volume.shape[:3], strict=True)):
            i, j, k = step
            patch[:, i, j, k] = volume[position]
    return patch


def test_a_patch_holds_the_neighbours_of_its_voxel_and_zeros_outside() -> None:
    volume, voxels = volume_and_voxels()
    expected = np.stack([neighbourhood(volume, voxel) for voxel in voxels])
    np.testing.assert_array_equal(cut_patches(volume, voxels), expected)


def test_rows_of_neighbours_keep_their_positions() -> None:
    """Row r of 27 is the neighbour at (r // 9, r // 3 % 3, r % 3): x slowest."""
    rows = torch.arange(2 * 27 * 4, dtype=torch.float32).reshape(2, 27, 4)
    patches = rows_to_patches(rows)
    for row in range(27):
        assert torch.equal(patches[:, :, row // 9, row // 3 % 3, row % 3], rows[:, row])
    assert patches.data_ptr() == rows.data_ptr()


def test_rows_and_patches_are_each_others_inverse() -> None:
    volume, voxels = volume_and_voxels()
    patches = cut_patches(volume, voxels)
    assert torch.equal(rows_to_patches(patches_to_rows(patches)), patches)
    rows = torch.arange(2.0 * 27 * 4).reshape(2, 27, 4)
    assert torch.equal(patches_to_rows(rows_to_patches(rows)), rows)


def test_steps_to_neighbours_are_in_the_order_of_a_patch_in_memory() -> None:
    grid = torch.stack(torch.meshgrid(*(torch.arange(3),) * 3, indexing="ij"), -1).float()
    (patch,) = patches_to_rows(cut_patches(grid, torch.tensor([[1, 1, 1]])))
    assert torch.equal(patch, NEIGHBOUR_OFFSETS + 1.0)


def test_no_rows_are_no_patches() -> None:
    assert rows_to_patches(torch.zeros(0, 27, 4)).shape == (0, 4, 3, 3, 3)
    assert patches_to_rows(torch.zeros(0, 4, 3, 3, 3)).shape == (0, 27, 4)
