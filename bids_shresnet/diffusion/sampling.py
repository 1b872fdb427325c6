"""Coefficients of an image at any point, patch by patch, as the network will see them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.ndimage import map_coordinates

from bids_shresnet.scans import ShImage

LINEAR = 1  # a spline keeps the signal sharper but made networks that flatten white-matter FA; see ARCHITECTURE.md


def sample_patches(image: ShImage, points: Float[np.ndarray, "p 3"]) -> Float[np.ndarray, "p 27 c"]:
    """Coefficients of the 3x3x3 neighbours of each point, at the image's own spacing and along its own axes.

    Parameters
    ----------
    points
        World positions, RAS+ mm.

    Returns
    -------
    Half precision (4 digits, a tenth of the noise), neighbours in C order (x slowest), zero outside the image.
    """
    to_voxels = np.linalg.inv(image.affine)
    # rounded, or the arithmetic puts half of the outermost voxels a hair outside, where all is zero
    centres = np.round(points @ to_voxels[:3, :3].T + to_voxels[:3, 3], 6)
    steps = np.stack(np.meshgrid(*(np.arange(-1, 2),) * 3, indexing="ij"), -1).reshape(27, 3)
    where = (centres[:, None] + steps).reshape(-1, 3).T
    out = np.empty((len(points), 27, image.coefficients.shape[3]), dtype=np.float16)
    for channel in range(out.shape[2]):
        values = map_coordinates(image.coefficients[..., channel], where, output=np.float32, order=LINEAR)
        out[:, :, channel] = values.reshape(len(points), 27)
    return out
