"""Remove most of the noise from what depends on direction.

A change of anisotropy changes what a scan measured, but not its noise. So the measured anisotropy
has to be told from noise before it is changed.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.harmonics import order_indices
from bids_shresnet.diffusion.noise import estimate_true_shares
from bids_shresnet.diffusion.representation import Representation
from bids_shresnet.diffusion.spatial.masking import average_locally, unmask

AVERAGING_SIGMA_VOXELS = 0.8  # about a voxel to each side, so that tissues are hardly mixed
MIN_COMMON_SHARE = 0.05  # of the power; white noise and its average have 0.12 in common


def denoise_orders(representation: Representation) -> Float[np.ndarray, "v c"]:
    """Remove most of the noise from the orders above 0 of each shell; order 0 stays.

    Returns
    -------
    Coefficients of the voxels of the mask; as they are where the noise is not known.
    """
    image = representation.image
    denoised = image.coefficients[image.mask]
    orders = [group for group in order_indices(image.shells) if len(group) > 1]
    by_shell = estimate_true_shares(representation, image.mask)
    shares = [share for shell in by_shell for share in shell]
    for group, share in zip(orders, shares, strict=True):
        denoised[:, group] = denoise_vectors(denoised[:, group], image.mask, share)
    return np.asarray(denoised)


def denoise_vectors(
    vectors: Float[np.ndarray, "v n"],
    mask: Bool[np.ndarray, "x y z"],
    true_share: Float[np.ndarray, "x y z"],
) -> Float[np.ndarray, "v n"]:
    """Average vectors that are mostly noise, so that multiples of them change true power only.

    Where the share is 1 around a voxel, vectors stay; where it is half or less, they are averaged.
    Then they are scaled. If x times the result is added to the vectors, their mean power around a
    voxel changes, to first order in x, by 2x times the part that is not noise, as if only this part
    had become 1 + x times as long.

    Parameters
    ----------
    true_share
        Share of the power that is not noise.
    """
    share = true_share[mask]
    own_weight = np.maximum(2 * share - 1, 0)[:, None]
    mixed = own_weight * vectors + (1 - own_weight) * _average_columns(vectors, mask)
    products = np.stack([np.square(vectors).sum(axis=1), (mixed * vectors).sum(axis=1)], axis=1)
    power, common_power = _average_columns(products, mask).T
    smallest = np.maximum(MIN_COMMON_SHARE * power, np.finfo(np.float64).tiny)
    return np.asarray((share * power / np.maximum(common_power, smallest))[:, None] * mixed)


def _average_columns(
    values: Float[np.ndarray, "v n"], mask: Bool[np.ndarray, "x y z"]
) -> Float[np.ndarray, "v n"]:
    """Average each column around the voxels of a mask."""
    return np.asarray(average_locally(unmask(values, mask), mask, AVERAGING_SIGMA_VOXELS)[mask])
