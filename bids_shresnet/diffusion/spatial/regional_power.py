"""Power of order 2 around a voxel: what a scan measured of it, and what was predicted.

In a single voxel of grey matter, noise hides most of the anisotropy, and a method that sees a few
voxels predicts what is usual there. Over centimetres the noise averages out, and a scan tells how
anisotropic its tissue is. So predicted amplitudes are scaled until their regional means (Gaussian,
standard deviation 1 cm) stand to the scan's own as they usually do. A change of anisotropy then
passes almost unchanged if it is several centimetres wide, and by half in a ball of three; what is
narrower stays as predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

from bids_shresnet.diffusion.rish import MIN_ORDER_POWER
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.scans import ShImage

SIGMA_MM = 10.0
WEAK_POWER_SHARE = 0.25  # of the regional mean; grey matter has less, white matter more
TRUNCATION = 3.0  # of the Gaussian, in standard deviations
PASSES = 3  # each one mends what the last one changed of the weights
MAX_LOG_RATIO = 1.5
MAX_LOG_GAIN = float(np.log(2))  # of all passes together
VOXEL_SHARE = 0.25  # enough for means of regions, which hold hundreds of voxels
MIN_WEIGHT = 1e-6

Image = Float[np.ndarray, "x y z"]


@dataclass(frozen=True)
class RegionalComparison:
    """Measured and predicted amplitudes around each voxel.

    Attributes
    ----------
    log_ratios
        Logarithms of measured over predicted amplitudes, root mean square over the weakly and over
        the strongly anisotropic tissue around.
    weakness
        How weakly anisotropic the prediction is in the voxel itself, 0 to 1.
    is_known
        True where there are a measurement and a prediction.
    """

    log_ratios: Float[np.ndarray, "x y z 2"]
    weakness: Image
    is_known: Bool[np.ndarray, "x y z"]

    @property
    def mean_log_ratios(self) -> Float[np.ndarray, " 2"]:
        """Means over the weakly and over the strongly anisotropic tissue; NaN without any."""
        shares = np.stack([self.weakness, 1 - self.weakness], axis=-1)[self.is_known]
        ratios = self.log_ratios[self.is_known]
        weights = np.where(np.isfinite(ratios), shares, 0)
        sums = weights.sum(axis=0)
        total = (weights * np.nan_to_num(ratios)).sum(axis=0)
        return np.asarray(total / np.where(sums > 0, sums, np.nan))


def draw_region_voxels(
    mask: Bool[np.ndarray, "x y z"], *, seed: Sequence[int]
) -> Bool[np.ndarray, "x y z"]:
    """Draw the share of a brain's voxels that is enough to compare its regions."""
    is_drawn = np.random.default_rng(seed).random(mask.shape) < VOXEL_SHARE
    return np.asarray(mask & is_drawn)


def compare_regions(
    predicted: Image, measured: Image, affine: Float[np.ndarray, "4 4"]
) -> RegionalComparison:
    """Compare the predicted with the measured power of order 2 of a shell around each voxel.

    Parameters
    ----------
    predicted, measured
        NaN where it is not known.
    """
    is_known = np.isfinite(predicted) & np.isfinite(measured)
    values = (1.0, predicted, measured)
    images = [np.where(is_known, image, 0).astype(np.float64) for image in values]
    sigmas = SIGMA_MM / np.linalg.norm(affine[:3, :3], axis=0)
    sums = [_smooth(image, sigmas) for image in images]
    typical = sums[1] / np.maximum(sums[0], MIN_WEIGHT)
    own = np.nan_to_num(predicted)  # also where the scan's is not known
    weakness = np.exp(-own / (WEAK_POWER_SHARE * np.maximum(typical, MIN_ORDER_POWER)))
    weak_sums = [_smooth(weakness * image, sigmas) for image in images]
    strong_sums = [total - weak for total, weak in zip(sums, weak_sums, strict=True)]
    log_ratios = [_compute_log_ratio(*weak_sums), _compute_log_ratio(*strong_sums)]
    return RegionalComparison(np.stack(log_ratios, axis=-1), weakness, is_known)


def _compute_log_ratio(weight: Image, predicted: Image, measured: Image) -> Image:
    """Logarithm of measured over predicted amplitudes around each voxel; NaN without any.

    Parameters
    ----------
    weight, predicted, measured
        Sums around each voxel of the weights, and of the powers times these.
    """
    averages = [power / np.maximum(weight, MIN_WEIGHT) for power in (predicted, measured)]
    logarithms = [np.log(np.maximum(average, MIN_ORDER_POWER)) / 2 for average in averages]
    ratio = np.clip(logarithms[1] - logarithms[0], -MAX_LOG_RATIO, MAX_LOG_RATIO)
    return np.where(weight > MIN_WEIGHT, ratio, np.nan)


def _smooth(values: Image, sigmas: Float[np.ndarray, " 3"]) -> Image:
    return np.asarray(gaussian_filter(values, sigmas, truncate=TRUNCATION))


def measure_log_ratios(
    coefficients: Float[np.ndarray, "v c"], image: ShImage, groups: Sequence[slice]
) -> Float[np.ndarray, "s 2"]:
    """Measure the mean `log_ratios` of each shell of a scan; NaN if none is known.

    The parameters are those of `match_regions`.
    """
    comparisons = [
        compare_regions(_compute_power(coefficients[:, group], image), measured, image.affine)
        for group, measured in zip(groups, _split_shells(image), strict=True)
    ]
    return np.stack([comparison.mean_log_ratios for comparison in comparisons])


def match_regions(
    coefficients: Float[np.ndarray, "v c"],
    image: ShImage,
    groups: Sequence[slice],
    usual_log_ratios: Float[np.ndarray, "s 2"],
) -> Float[np.ndarray, "v c"]:
    """Scale predicted order 2 until its regional amplitudes are what the scan's own ask for.

    Parameters
    ----------
    coefficients
        Predicted ones in the voxels of the mask.
    image
        The scan, with the power that it measured.
    groups
        Places of order 2 of each shell.
    usual_log_ratios
        Mean `log_ratios` of each shell in the scans that the method was fitted on.

    Returns
    -------
    Scaled coefficients; those of regions where nothing was measured stay.
    """
    matched = coefficients.copy()
    shells = zip(groups, _split_shells(image), usual_log_ratios, strict=True)
    for group, measured, usual in shells:
        power = _compute_power(coefficients[:, group], image)
        log_gain = np.zeros(image.mask.shape)
        for _ in range(PASSES):
            comparison = compare_regions(power * np.exp(2 * log_gain), measured, image.affine)
            log_gain += _compute_log_gain(comparison, usual)
            log_gain = np.clip(log_gain, -MAX_LOG_GAIN, MAX_LOG_GAIN)
        matched[:, group] *= np.exp(log_gain)[image.mask][:, None]
    return matched


def _split_shells(image: ShImage) -> list[Image]:
    """Measured power of each shell."""
    assert image.order_2_power is not None, "the scan's power was not measured"
    return list(np.moveaxis(image.order_2_power, -1, 0))


def _compute_power(coefficients: Float[np.ndarray, "v n"], image: ShImage) -> Image:
    return unmask(np.square(coefficients).sum(axis=1), image.mask, fill=np.nan)


def _compute_log_gain(comparison: RegionalComparison, usual: Float[np.ndarray, " 2"]) -> Image:
    """Mix the factors of weakly and strongly anisotropic tissue by what a voxel shows."""
    weak, strong = np.moveaxis(np.nan_to_num(comparison.log_ratios - usual), -1, 0)
    return np.asarray(comparison.weakness * weak + (1 - comparison.weakness) * strong)
