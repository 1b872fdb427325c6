from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bids_shresnet.network import patches
from bids_shresnet.network.patches import as_patches, cut, run


def volume_and_voxels() -> tuple[Float[Tensor, "x y z c"], Int[Tensor, "v 3"]]:
    """All voxels of a small volume, its faces, edges and corners among them, in no order."""
    generator = torch.Generator().manual_seed(0)
    volume = torch.randn(3, 4, 5, 2, generator=generator)
    voxels = torch.tensor(list(product(range(3), range(4), range(5))))
    return volume, voxels[torch.randperm(len(voxels), generator=generator)]


def neighbourhood(volume: Float[Tensor, "x y z c"], voxel: Int[Tensor, " 3"]) -> Float[np.ndarray, "c 3 3 3"]:
    """One patch, neighbour by neighbour, zero outside."""
    patch = np.zeros((volume.shape[3], 3, 3, 3), dtype=np.float32)
    for step in product(range(3), repeat=3):
        place = tuple(int(v) + s - 1 for v, s in zip(voxel, step, strict=True))
        if all(0 <= p < size for p, size in zip(place, volume.shape[:3], strict=True)):
            patch[:, *step] = volume[place]
    return patch


def test_a_patch_holds_the_neighbours_of_its_voxel_and_zeros_outside() -> None:
    volume, voxels = volume_and_voxels()
    expected = np.stack([neighbourhood(volume, voxel) for voxel in voxels])
    np.testing.assert_array_equal(cut(volume, voxels), expected)


@pytest.mark.parametrize("chunk", [1, 7, 59, 60, 61])
def test_inference_equals_a_loop_over_voxels_wherever_chunks_end(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "CHUNK", chunk)
    volume, voxels = volume_and_voxels()
    weights = torch.randn(2, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    sizes = []

    def network(batch: Float[Tensor, "b c 3 3 3"]) -> Float[Tensor, "b c"]:
        sizes.append(len(batch))
        return (batch * weights).sum((2, 3, 4))

    expected = [(neighbourhood(volume, voxel) * weights.numpy()).sum((1, 2, 3)) for voxel in voxels]
    np.testing.assert_allclose(run(network, volume, voxels), np.stack(expected), atol=1e-5)
    assert max(sizes) <= chunk


def test_rows_of_neighbours_keep_their_places() -> None:
    """Row r of 27 is the neighbour at (r // 9, r // 3 % 3, r % 3): x slowest."""
    rows = torch.arange(2 * 27 * 4, dtype=torch.float32).reshape(2, 27, 4)
    found = as_patches(rows)
    for row in range(27):
        assert torch.equal(found[:, :, row // 9, row // 3 % 3, row % 3], rows[:, row])
    assert found.data_ptr() == rows.data_ptr()
