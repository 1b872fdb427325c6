"""Grey matter, white matter and CSF of a scan that comes without a segmentation."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from bids_shresnet.scans import Tissue

HMRF_BETA = 0.1  # smoothness, DIPY's own example value
HMRF_TOLERANCE = 1e-4  # relative change of the energy at which it stops
HMRF_MAX_ITERATIONS = 20
MIN_PARENCHYMA_S0_SHARE = 0.3  # of the median S0; grey and white matter lie above half of it
CONTRAST_PERCENTILES = (0.5, 99.5)  # clipped to these, because HMRF starts from the range
BACKGROUND_MEAN = 1e-3  # of the noise that replaces zeros
BACKGROUND_SIGMA = 1e-4
BACKGROUND_SEED = 0


def classify_tissue(
    contrast: Float[np.ndarray, "x y z"], mask: Bool[np.ndarray, "x y z"]
) -> Int[np.ndarray, "x y z"]:
    """Classify three tissues by DIPY's hidden Markov random field.

    Source: Zhang et al. 2001, the algorithm behind FAST.

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
    # DIPY needs noise where there is no signal, and would draw other noise in every run
    rng = np.random.default_rng(BACKGROUND_SEED)
    background = rng.normal(BACKGROUND_MEAN, BACKGROUND_SIGMA, size=contrast.shape)
    low, high = np.percentile(contrast[mask], CONTRAST_PERCENTILES)
    clipped = np.clip(contrast, low, high)
    image = np.where(mask & (clipped != 0), clipped, background).astype(np.float64)
    from dipy.segment.tissue import TissueClassifierHMRF  # it loads scikit-learn

    _, labels, _ = TissueClassifierHMRF(verbose=False).classify(
        image, 3, HMRF_BETA, tolerance=HMRF_TOLERANCE, max_iter=HMRF_MAX_ITERATIONS
    )
    tissues_by_brightness = np.array([0, Tissue.CSF, Tissue.GM, Tissue.WM])
    return np.where(mask, tissues_by_brightness[labels.astype(int)], 0)


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
