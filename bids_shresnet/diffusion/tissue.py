"""Grey matter, white matter and CSF of a scan that comes without a segmentation."""

from __future__ import annotations

import numpy as np
from dipy.segment.tissue import TissueClassifierHMRF
from jaxtyping import Bool, Float, Int

from bids_shresnet.scans import Tissue

HMRF_BETA = 0.1  # HMRF's beta, DIPY's own example value
HMRF_TOLERANCE = 1e-4  # HMRF stops when the energy changes by less, relative
MIN_PARENCHYMA_S0_SHARE = 0.3  # of the median S0; grey and white matter lie above half of it
CONTRAST_PERCENTILES = (
    0.5,
    99.5,
)  # percentiles between which HMRF looks for its classes: it starts from the range
BACKGROUND_MEAN_SIGMA = (1e-3, 1e-4)  # mean and spread of what DIPY puts in place of zeros
BACKGROUND_SEED = 0


def classify_tissue(
    contrast: Float[np.ndarray, "x y z"], mask: Bool[np.ndarray, "x y z"]
) -> Int[np.ndarray, "x y z"]:
    """Three tissues by DIPY's hidden Markov random field (Zhang et al. 2001, the algorithm behind FAST).

    Parameters
    ----------
    contrast
        Any image in which CSF is darkest and white matter brightest; see `diffusion_contrast`.
    mask
        Brain; 0 outside.

    Returns
    -------
    Values of `Tissue`, 0 outside the mask.
    """
    # DIPY needs noise where there is no signal, and would draw other noise at every run
    background = np.random.default_rng(BACKGROUND_SEED).normal(
        *BACKGROUND_MEAN_SIGMA, size=contrast.shape
    )
    bounded = np.clip(contrast, *np.percentile(contrast[mask], CONTRAST_PERCENTILES))
    image = np.where(mask & (bounded != 0), bounded, background).astype(np.float64)
    _, labels, _ = TissueClassifierHMRF(verbose=False).classify(
        image, 3, HMRF_BETA, tolerance=HMRF_TOLERANCE, max_iter=20
    )
    ascending = np.array([0, Tissue.CSF, Tissue.GM, Tissue.WM])
    return np.where(mask, ascending[labels.astype(int)], 0)


def parenchyma_mask(
    s0: Float[np.ndarray, "x y z"], mask: Bool[np.ndarray, "x y z"]
) -> Bool[np.ndarray, "x y z"]:
    """The mask without voxels of little signal: background, bone, and the outer half of partly filled voxels."""
    return (
        np.asarray(mask & (s0 > MIN_PARENCHYMA_S0_SHARE * np.median(s0[mask])))
        if mask.any()
        else mask
    )


def diffusion_contrast(
    mean_signal: Float[np.ndarray, "x y z"], anisotropy: Float[np.ndarray, "x y z"]
) -> Float[np.ndarray, "x y z"]:
    """T1-like contrast of a DWI alone: mean S/S0 over the directions, raised where diffusion is anisotropic.

    Free water loses most signal and is darkest; grey and white matter lose about as much and differ in anisotropy,
    by which the mean signal is multiplied because in CSF, where there is no signal, anisotropy is noise.
    """
    return np.asarray(mean_signal * (1 + anisotropy))
