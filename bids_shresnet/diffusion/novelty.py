"""Novelty of a scan, voxel by voxel: how unlike the scans that a network was trained on it is.

A lesion's voxel looks like a mixture of healthy tissues and is nothing new by itself. A patch of
it is new: as much S0 and as little S/S0 as where tissue borders on CSF, yet without the border. So
the features describe the patch of 3x3x3 voxels that the network sees. Their usual values are
learned from the source scans of the training subjects, whole brains, without any target.
docs/experiments.md describes what else was tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter, uniform_filter

from bids_shresnet.diffusion.harmonics import order_indices
from bids_shresnet.diffusion.mixture import Mixture, fit_mixture
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.spatial.roughness import compare_roughness, measure_roughness
from bids_shresnet.scans import Shell, ShImage

# Grey matter, white matter, CSF and their borders; 8 components mark fewer lesions, 24 no more.
MIXTURE_COMPONENTS = 16
PATCH_EDGE_VOXELS = 3
SMOOTHING_SIGMA_MM = 5.0  # a lesion is a blob, noise is not
MAX_VOXELS_PER_SCAN = 3000  # to fit the mixture to; four times as many change nothing
THRESHOLD_QUANTILE = 0.98  # share of a healthy, held-out brain that lies within the threshold
EXPECTED_NOVEL_FRACTION = 1 - THRESHOLD_QUANTILE  # of a healthy brain
WARN_NOVEL_FRACTION = 0.05  # of a brain; a larger one is worth a warning
MIN_S0_CONTRAST = np.log(0.3)  # voxels below are mostly background or bone


@dataclass(frozen=True)
class PatchFeatures:
    """Features of the patch around each voxel that can be judged.

    Attributes
    ----------
    mask
        Voxels that can be judged.
    values
        Features of their patches, (voxel of the mask, feature).
    """

    mask: Bool[np.ndarray, "x y z"]
    values: Float[np.ndarray, "v f"]


@dataclass(frozen=True)
class NoveltyDetector:
    """Usual features in the source scans of the training subjects.

    Attributes
    ----------
    mixture
        Distribution of the features of their voxels.
    threshold
        Distance that about 2 % of the voxels of a healthy, held-out brain exceed.
    roughness
        Roughness of the scans, where it is known.
    """

    mixture: Mixture
    threshold: float
    roughness: Float[np.ndarray, " s"]

    def compute_distances(self, image: ShImage) -> Float[np.ndarray, "x y z"]:
        """Compute the distance of each voxel's surroundings from the usual, in standard deviations.

        Returns
        -------
        Zero where nothing can be judged: outside the mask and where there is next to no signal
        (the rim of background in a widened mask, bone).
        """
        return _compute_smooth_distances(self.mixture, image.affine, extract_features(image))

    def compare_roughness(self, image: ShImage) -> float:
        """Compare the roughness of a scan with that of the training scans (`roughness.py`)."""
        return compare_roughness(_measure_roughness(image), self.roughness)

    def arrays(self) -> dict[str, Float[np.ndarray, "..."]]:
        """Plain arrays to be stored; `from_arrays` is the inverse."""
        own = {"threshold": np.array(self.threshold), "roughness": self.roughness}
        return {**vars(self.mixture), **own}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Float[np.ndarray, "..."]]) -> NoveltyDetector:
        """Make a detector from the arrays that `arrays` returned."""
        mixture = Mixture(arrays["weights"], arrays["means"], arrays["covariances"])
        return cls(mixture, float(arrays["threshold"]), arrays["roughness"])


def fit_novelty_detector(images: Iterable[ShImage], *, seed: int = 0) -> NoveltyDetector:
    """Learn the usual features from the source scans of the training subjects, one per subject.

    The threshold comes from each subject's distances when it is held out. For a single subject it
    comes from the scan itself, and marks more (about 6 %) of other scans. Fewer than about six
    subjects may not show how much healthy brains differ.
    """
    rng = np.random.default_rng(seed)
    subjects = []
    roughness = []
    for image in images:  # one in memory at a time
        subjects.append((image.affine, extract_features(image)))
        roughness.append(_measure_roughness(image))
    samples = [rng.permutation(features.values)[:MAX_VOXELS_PER_SCAN] for _, features in subjects]
    held_out_distances = []
    for index, (affine, features) in enumerate(subjects):
        other_samples = samples[:index] + samples[index + 1 :] or samples
        mixture = fit_mixture(np.concatenate(other_samples), MIXTURE_COMPONENTS, seed=seed)
        distances = _compute_smooth_distances(mixture, affine, features)
        held_out_distances.append(distances[features.mask])
    threshold = np.quantile(np.concatenate(held_out_distances), THRESHOLD_QUANTILE)
    mixture = fit_mixture(np.concatenate(samples), MIXTURE_COMPONENTS, seed=seed)
    known = np.array([value for value in roughness if np.isfinite(value)])
    return NoveltyDetector(mixture, float(threshold), known)


def extract_features(image: ShImage) -> PatchFeatures:
    """Extract rotation-invariant features of the 3x3x3 patch around each voxel with signal.

    They are the mean and the spread of the S0 contrast and, for each shell, the mean and the
    spread of the level (order 0), the mean amplitude of order 2, and the amplitude of its mean
    (which is smaller where directions differ or are noise). Levels and amplitudes are relative to
    the shell's median level, because healthy brains differ in diffusivity.
    """
    mask = _find_judged_voxels(image)
    maps = _mean_and_spread(image.contrast, mask)
    start = 0
    for shell in image.shells:
        end = start + shell.coefficient_count
        maps += _shell_feature_maps(image.coefficients[..., start:end], shell, mask)
        start = end
    values = np.stack([feature_map[mask] for feature_map in maps], axis=1)
    return PatchFeatures(mask, values.astype(np.float32))


def _find_judged_voxels(image: ShImage) -> Bool[np.ndarray, "x y z"]:
    """Find the voxels of the mask that have signal."""
    has_signal = (image.coefficients != 0).any(axis=3)
    return np.asarray(image.mask & has_signal & (image.contrast > MIN_S0_CONTRAST))


def _measure_roughness(image: ShImage) -> float:
    return measure_roughness(image, _find_judged_voxels(image))


def _shell_feature_maps(
    coefficients: Float[np.ndarray, "x y z c"], shell: Shell, mask: Bool[np.ndarray, "x y z"]
) -> list[Float[np.ndarray, "x y z"]]:
    """Return the feature maps of one shell."""
    level, spread = _mean_and_spread(coefficients[..., 0], mask)
    maps = [level, spread]
    for indices in order_indices((shell,))[1:2]:  # order 4 adds noise and marks fewer lesions
        second_order = coefficients[..., indices]
        means = [_patch_mean(second_order[..., m], mask) for m in range(len(indices))]
        maps.append(_patch_mean(_amplitude(second_order), mask))
        maps.append(_amplitude(np.stack(means, axis=3)))
    median = np.median(level[mask]) if mask.any() else 1.0
    return [values / max(median, float(np.finfo(np.float32).tiny)) for values in maps]


def _amplitude(coefficients: Float[np.ndarray, "x y z m"]) -> Float[np.ndarray, "x y z"]:
    """Square root of the power of one order."""
    return np.asarray(np.linalg.norm(coefficients, axis=3))


def _patch_mean(
    values: Float[np.ndarray, "x y z"], mask: Bool[np.ndarray, "x y z"]
) -> Float[np.ndarray, "x y z"]:
    """Mean over the voxels of the mask in each patch."""
    inside = mask.astype(np.float32)
    mean = uniform_filter(values * inside, PATCH_EDGE_VOXELS, mode="constant")
    share = uniform_filter(inside, PATCH_EDGE_VOXELS, mode="constant")
    # a patch around a voxel of the mask has a share of at least 1 / 27
    return np.asarray(mean / np.maximum(share, PATCH_EDGE_VOXELS**-4))


def _mean_and_spread(
    values: Float[np.ndarray, "x y z"], mask: Bool[np.ndarray, "x y z"]
) -> list[Float[np.ndarray, "x y z"]]:
    """Mean and standard deviation over each patch."""
    mean = _patch_mean(values, mask)
    variance = _patch_mean(np.square(values), mask) - np.square(mean)
    return [mean, np.sqrt(np.maximum(variance, 0))]


def _compute_smooth_distances(
    mixture: Mixture, affine: Float[np.ndarray, "4 4"], features: PatchFeatures
) -> Float[np.ndarray, "x y z"]:
    """Compute the distance of each voxel's features, smoothed over the voxels that are judged."""
    mask = features.mask
    distances = unmask(mixture.distance(features.values).astype(np.float32), mask)
    sigma = SMOOTHING_SIGMA_MM / np.linalg.norm(affine[:3, :3], axis=0)
    total = gaussian_filter(distances, sigma, mode="constant")
    weight = gaussian_filter(mask.astype(np.float32), sigma, mode="constant")
    mean = total / np.maximum(weight, np.finfo(np.float32).tiny)
    return np.where(mask, mean, 0).astype(np.float32)
