"""Grey matter, white matter and CSF of a scan that comes without a segmentation."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from bids_shresnet.diffusion.spatial.masking import average_locally
from bids_shresnet.scans import Tissue

# CSF loses this many times as much of the logarithm of the signal as half of the brain does.
# Measured on simulated scanners (docs/experiments.md); about 1.4e-3 mm2/s.
MIN_CSF_LOSS = 1.6
GREY_MATTER_SHARE = 1 / 3  # of what is not CSF
WHITE_MATTER_SHARE = 1 / 2
MIN_SIGNAL = 1e-3  # S/S0; the logarithm of less is that of noise
ANISOTROPY_SIGMA_VOXELS = 0.8  # of the local mean; half of the width of the cortex
MIN_PARENCHYMA_S0_SHARE = 0.3  # of the median S0; grey and white matter lie above half of it


def classify_tissue(
    mean_signal: Float[np.ndarray, "x y z"],
    anisotropy: Float[np.ndarray, "x y z"],
    mask: Bool[np.ndarray, "x y z"],
) -> Int[np.ndarray, "x y z"]:
    """Classify CSF by its loss of signal, the others by the anisotropy around a voxel.

    White matter is the more anisotropic half of what is not CSF, grey matter the least anisotropic
    third. What lies between is mostly a mixture of both, and neither. A rank depends neither on
    noise nor on the scanner.

    Parameters
    ----------
    mean_signal
        Mean S/S0 of a shell.
    anisotropy
        Any measure that is larger in white matter; see `representation.anisotropy`.
    mask
        Brain; 0 outside.

    Returns
    -------
    Values of `Tissue`, 0 outside the mask and in mixtures.
    """
    if not mask.any():
        return np.zeros(mask.shape, dtype=int)
    is_csf = find_csf(mean_signal, mask)
    surroundings = average_locally(anisotropy, mask, ANISOTROPY_SIGMA_VOXELS)
    limits = np.quantile(surroundings[mask & ~is_csf], [GREY_MATTER_SHARE, 1 - WHITE_MATTER_SHARE])
    is_grey = surroundings <= limits[0]
    is_white = surroundings > limits[1]
    tissues = [0, Tissue.CSF, Tissue.GM, Tissue.WM]
    return np.asarray(np.select([~mask, is_csf, is_grey, is_white], tissues, 0))


def find_csf(
    mean_signal: Float[np.ndarray, "x y z"], mask: Bool[np.ndarray, "x y z"]
) -> Bool[np.ndarray, "x y z"]:
    """Find the voxels of a mask that lose far more of the mean signal than half of them do."""
    if not mask.any():
        return mask
    loss = -np.log(np.clip(mean_signal, MIN_SIGNAL, 1))
    return np.asarray(mask & (loss > MIN_CSF_LOSS * np.median(loss[mask])))


def parenchyma_mask(
    s0: Float[np.ndarray, "x y z"], mask: Bool[np.ndarray, "x y z"]
) -> Bool[np.ndarray, "x y z"]:
    """Return the mask without voxels of little signal.

    These are background, bone, and the outer half of partly filled voxels.
    """
    if not mask.any():
        return mask
    return np.asarray(mask & (s0 > MIN_PARENCHYMA_S0_SHARE * np.median(s0[mask])))


def diffusion_contrast(
    mean_signal: Float[np.ndarray, "x y z"], anisotropy: Float[np.ndarray, "x y z"]
) -> Float[np.ndarray, "x y z"]:
    """T1-like contrast of a DWI: mean S/S0, raised where diffusion is anisotropic.

    Free water loses most signal and is darkest. Grey and white matter lose about as much and
    differ in anisotropy. The mean signal is multiplied by it, because in CSF, where there is no
    signal, anisotropy is noise.
    """
    return np.asarray(mean_signal * (1 + anisotropy))
