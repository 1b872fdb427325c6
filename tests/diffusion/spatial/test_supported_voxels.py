from __future__ import annotations

from dataclasses import replace

import numpy as np

from bids_shresnet.diffusion.spatial.supported_voxels import find_supported_voxels
from bids_shresnet.scans import ShImage
from tests.methods.heads import head


def box(*, holes: tuple[tuple[int, int, int], ...] = ()) -> ShImage:
    """A head in a box; without signal in some voxels."""
    image = head(1)
    coefficients = image.coefficients.copy()
    coefficients[image.mask, 0] = 1
    for hole in holes:
        coefficients[hole] = 0
    return replace(image, coefficients=coefficients)


def test_all_voxels_of_a_solid_are_supported_even_its_corners() -> None:
    image = box()
    np.testing.assert_array_equal(find_supported_voxels(image), image.mask)


def test_voxels_without_signal_and_those_that_lose_a_corner_to_them_are_not() -> None:
    supported = find_supported_voxels(box(holes=((1, 1, 2),)))
    assert not supported[1, 1, 2]
    assert not supported[1, 1, 1]  # the corner beside it
    assert supported[2, 2, 2]
    assert supported.sum() == box().mask.sum() - 2


def test_a_thin_rim_is_not_supported() -> None:
    image = box()
    rim = np.zeros_like(image.mask)
    rim[1:-1, 1:-1, 1] = True
    coefficients = np.where(rim[..., None], image.coefficients, 0)
    thin = replace(image, mask=rim, coefficients=coefficients)
    supported = find_supported_voxels(thin)
    assert not supported[1, 1, 1]
    assert supported[4, 4, 1]
