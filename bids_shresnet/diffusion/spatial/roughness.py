"""How much neighbouring voxels differ in what is mostly noise.

The highest order of the harmonics holds little anatomy and much noise. Noise of a measurement
differs from voxel to voxel. Denoising removes it, and interpolation makes neighbours alike. So a
scan that is less or more rough than those that a model was trained on was preprocessed or measured
in another way, whatever its sidecar says. With fewer than 15 directions, the highest order is 2,
which holds more anatomy, and noise changes the roughness less.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.harmonics import order_indices
from bids_shresnet.scans import ShImage

# Beyond the range of the training scans. Simulated scans of one scanner differ by 1 %, real ones by
# more; interpolation of motion lowers the roughness to 0.82, and leaving out a fifth of 30
# directions raises it to 1.06.
ROUGHNESS_TOLERANCE = 0.15


def measure_roughness(image: ShImage, voxels: Bool[np.ndarray, "x y z"]) -> float:
    """Measure the roughness of the first shell, in units of its coefficients.

    Parameters
    ----------
    voxels
        Voxels that are compared with their neighbours among them.

    Returns
    -------
    Median over pairs of neighbours of the length of the difference; NaN if there are none.
    """
    noise = image.coefficients[..., order_indices(image.shells[:1])[-1]]
    differences = []
    for axis in range(3):
        is_pair = np.delete(voxels, 0, axis) & np.delete(voxels, -1, axis)
        differences.append(np.linalg.norm(np.diff(noise, axis=axis)[is_pair], axis=1))
    lengths = np.concatenate(differences)
    return float(np.median(lengths)) if lengths.size else float("nan")


def compare_roughness(roughness: float, usual: Float[np.ndarray, " s"]) -> float:
    """Compare the roughness of a scan with that of the training scans.

    Returns
    -------
    1 within their range, else the ratio to the nearest of them; NaN if either is not known.
    """
    if not usual.size or not usual.min() > 0:
        return float("nan")
    return float(roughness / np.clip(roughness, usual.min(), usual.max()))


def describe_roughness(ratio: float) -> tuple[str, ...]:
    """Describe a roughness that differs from that of the training scans by more than is usual."""
    if ratio < 1 - ROUGHNESS_TOLERANCE:
        kind = "less noise between neighbouring voxels"
        reason = "as after denoising or interpolation"
    elif ratio > 1 + ROUGHNESS_TOLERANCE:
        kind = "more noise between neighbouring voxels"
        reason = "so FA will be wrong where it is small"
    else:  # also if it is not known
        return ()
    return (f"{kind} ({ratio:.2f} times as much) than in the scans of the training, {reason}",)
