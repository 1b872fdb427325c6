"""How unlike the scans a network was trained on a scan is, voxel by voxel: lesions, artefacts, the never seen.

A lesion's voxel looks like a mixture of healthy tissues and is nothing new by itself. What is new is a patch of it:
as much S0 and as little S/S0 as where tissue borders on CSF, yet without the border. So the features describe the
patch of 3x3x3 voxels that the network sees, and what is usual is learned from the source scans of the training
subjects, whole brains, without any target. docs/experiments.md tells what else was tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter, uniform_filter

from bids_shresnet.diffusion.harmonics import order_indices
from bids_shresnet.diffusion.mixture import Mixture, fit_mixture
from bids_shresnet.diffusion.representation import unmask
from bids_shresnet.scans import Shell, ShImage

MIXTURE_COMPONENTS = (
    16  # grey matter, white matter, CSF and their borders; 8 mark fewer lesions, 24 no more
)
PATCH_EDGE_VOXELS = 3  # voxels along an edge
SMOOTHING_SIGMA_MM = 5.0  # standard deviation; a lesion is a blob, noise is not
MAX_VOXELS_PER_SCAN = (
    3000  # of each training scan to fit the mixture to; four times as many change nothing
)
THRESHOLD_QUANTILE = 0.98  # share of a healthy, unseen brain that lies within the threshold
MIN_S0_CONTRAST = np.log(0.3)  # contrast of voxels that are mostly background or bone

Features = tuple[
    Bool[np.ndarray, "x y z"], Float[np.ndarray, "v f"]
]  # which voxels are judged, and what is seen there


@dataclass(frozen=True)
class NoveltyDetector:
    """What is usual in the source scans of the training subjects.

    Attributes
    ----------
    mixture
        Of the features of their voxels.
    threshold
        Distance beyond which a voxel is unusual: in a healthy, unseen brain about 2 % of the voxels.
    """

    mixture: Mixture
    threshold: float

    def compute_distances(self, image: ShImage) -> Float[np.ndarray, "x y z"]:
        """How unusual the surroundings of each voxel are, in standard deviations; zero where nothing is judged.

        Outside the mask and where there is next to no signal (the rim of background in a widened mask, bone) nothing
        is judged.
        """
        return _compute_smooth_distances(self.mixture, image.affine, extract_features(image))

    def arrays(self) -> dict[str, Float[np.ndarray, "..."]]:
        """Plain arrays to be stored; `from_arrays` is the inverse."""
        return {**vars(self.mixture), "threshold": np.array(self.threshold)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Float[np.ndarray, "..."]]) -> NoveltyDetector:
        """What `arrays` gave."""
        mixture = Mixture(arrays["weights"], arrays["means"], arrays["covariances"])
        return cls(mixture, float(arrays["threshold"]))


def fit_novelty_detector(images: Iterable[ShImage], *, seed: int = 0) -> NoveltyDetector:
    """Learn what is usual from the source scans of the training subjects, one image a subject.

    The threshold comes from each subject's distances when it is left out. Of a single subject it comes from the
    scan itself, and marks more (about 6 %) of others. Fewer than about six may not show how much the healthy differ.
    """
    rng = np.random.default_rng(seed)
    seen = [(image.affine, extract_features(image)) for image in images]
    drawn = [rng.permutation(values)[:MAX_VOXELS_PER_SCAN] for _, (_, values) in seen]
    left_out = []
    for subject, (affine, subject_features) in enumerate(seen):
        others = [values for other, values in enumerate(drawn) if other != subject] or drawn
        mixture = fit_mixture(np.concatenate(others), MIXTURE_COMPONENTS, seed=seed)
        left_out.append(
            _compute_smooth_distances(mixture, affine, subject_features)[subject_features[0]]
        )
    everyone = fit_mixture(np.concatenate(drawn), MIXTURE_COMPONENTS, seed=seed)
    return NoveltyDetector(
        everyone, float(np.quantile(np.concatenate(left_out), THRESHOLD_QUANTILE))
    )


def extract_features(image: ShImage) -> Features:
    """Rotation-invariant features of the 3x3x3 patch around each voxel, and which voxels have any signal to judge.

    For each shell the mean and the spread of the level (order 0), the mean amplitude of order 2 and the amplitude of
    its mean (that is smaller where directions differ or are noise); mean and spread of the contrast of S0. Levels and
    amplitudes are relative to the shell's median level, because healthy brains differ in diffusivity.
    """
    judged = image.mask & (image.coefficients != 0).any(axis=3) & (image.contrast > MIN_S0_CONTRAST)
    levels = _mean_and_spread(image.contrast, judged)
    start = 0
    for shell in image.shells:
        levels += _extract_shell_features(
            image.coefficients[..., start : start + shell.coefficient_count], shell, judged
        )
        start += shell.coefficient_count
    return judged, np.stack([values[judged] for values in levels], axis=1).astype(np.float32)


def _extract_shell_features(
    coefficients: Float[np.ndarray, "x y z c"], shell: Shell, scored: Bool[np.ndarray, "x y z"]
) -> list[Float[np.ndarray, "x y z"]]:
    """Features of one shell."""
    level, spread = _mean_and_spread(coefficients[..., 0], scored)
    maps = [level, spread]
    for order in order_indices((shell,))[1:2]:  # order 4 adds noise and marks fewer lesions
        second = coefficients[..., order]
        mean = np.stack([_patch_mean(second[..., m], scored) for m in range(len(order))], axis=3)
        maps += [_patch_mean(_amplitude(second), scored), _amplitude(mean)]
    median = np.median(level[scored]) if scored.any() else 1.0
    return [values / max(median, float(np.finfo(np.float32).tiny)) for values in maps]


def _amplitude(coefficients: Float[np.ndarray, "x y z m"]) -> Float[np.ndarray, "x y z"]:
    """Of one order: the square root of its power."""
    return np.asarray(np.linalg.norm(coefficients, axis=3))


def _patch_mean(
    values: Float[np.ndarray, "x y z"], scored: Bool[np.ndarray, "x y z"]
) -> Float[np.ndarray, "x y z"]:
    """Mean over the judged voxels of each patch."""
    inside = scored.astype(np.float32)
    share = uniform_filter(inside, PATCH_EDGE_VOXELS, mode="constant")
    # a patch with a judged voxel in its middle has a share of at least 1 / 27
    return np.asarray(
        uniform_filter(values * inside, PATCH_EDGE_VOXELS, mode="constant")
        / np.maximum(share, PATCH_EDGE_VOXELS**-4)
    )


def _mean_and_spread(
    values: Float[np.ndarray, "x y z"], scored: Bool[np.ndarray, "x y z"]
) -> list[Float[np.ndarray, "x y z"]]:
    """Mean and standard deviation over each patch."""
    mean = _patch_mean(values, scored)
    return [mean, np.sqrt(np.maximum(_patch_mean(np.square(values), scored) - np.square(mean), 0))]


def _compute_smooth_distances(
    mixture: Mixture, affine: Float[np.ndarray, "4 4"], voxel_features: Features
) -> Float[np.ndarray, "x y z"]:
    """Distance of the features of each judged voxel, smoothed over the judged voxels around."""
    judged, values = voxel_features
    sigma = SMOOTHING_SIGMA_MM / np.linalg.norm(affine[:3, :3], axis=0)
    weight = gaussian_filter(judged.astype(np.float32), sigma, mode="constant")
    total = gaussian_filter(
        unmask(mixture.distance(values).astype(np.float32), judged), sigma, mode="constant"
    )
    return np.where(judged, total / np.maximum(weight, np.finfo(np.float32).tiny), 0).astype(
        np.float32
    )
