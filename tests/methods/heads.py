"""Small heads: smooth coefficients on a source, and a target that changes them in a known way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter

from bids_shresnet.diffusion.harmonics import evaluation_matrix, order_indices
from bids_shresnet.methods.harmonizer import FitTask
from bids_shresnet.network.patches import CENTRE_INDEX, NEIGHBOUR_OFFSETS
from bids_shresnet.pairs import MatchedVoxels, TravellingSubject, UnharmonizedData
from bids_shresnet.scans import Shell, ShImage
from bids_shresnet.settings import NetworkConfig, TrainingConfig
from tests.datasets import spiral

SHELLS = (Shell(1000.0, 2, 6),)
ORDERS = order_indices(SHELLS)
GAINS = np.array([1.1] + [0.6] * 5, dtype=np.float32)  # target over source: order 0, order 2
GRID = (10, 10, 10)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
QUICK = TrainingConfig(
    voxels_per_epoch=1000, max_epochs=12, adam_epochs=12, adam_batch=32, adam_learning_rate=5e-3
)
PLAIN = NetworkConfig(resblocks=1, contrast=False, skip=False, calibrate=False)

Change = Callable[[Float[np.ndarray, "v 27 c"]], Float[np.ndarray, "v c"]]


def scaled(patches: Float[np.ndarray, "v 27 c"]) -> Float[np.ndarray, "v c"]:
    """Coefficients of a target that scales each order of the centre."""
    return np.asarray(patches[:, CENTRE_INDEX] * GAINS)


def head(seed: int, grid: tuple[int, int, int] = GRID) -> ShImage:
    """Smooth coefficients about an isotropic signal of 0.5; the mask excludes the border."""
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((*grid, 7)), (1, 1, 1, 0))
    coefficients = 0.2 * noise[..., :6] / noise.std()
    coefficients[..., 0] += 0.5 * np.sqrt(4 * np.pi)
    mask = np.zeros(grid, dtype=bool)
    mask[1:-1, 1:-1, 1:-1] = True
    coefficients[~mask] = 0
    contrast = np.where(mask, noise[..., 6] / noise.std() / 3, 0)
    return ShImage(
        coefficients.astype(np.float32), mask, AFFINE, SHELLS, contrast.astype(np.float32)
    )


def with_power(image: ShImage, factor: float = 1.0) -> ShImage:
    """The head of a scan whose order 2 is as many times as long as measured."""
    power = factor**2 * np.square(image.coefficients[..., 1:6]).sum(axis=-1, keepdims=True)
    return replace(image, order_2_power=np.where(image.mask[..., None], power, np.nan))


def mask_patches(image: ShImage) -> Float[np.ndarray, "v 27 n"]:
    """Channels of the neighbours of every voxel of the mask in C order, zero outside the image."""
    padded = np.pad(image.channels, ((1, 1), (1, 1), (1, 1), (0, 0)))
    neighbours = np.argwhere(image.mask)[:, None] + NEIGHBOUR_OFFSETS.numpy() + 1
    i, j, k = np.moveaxis(neighbours, -1, 0)
    return np.asarray(padded[i, j, k])


def travelling(
    image: ShImage,
    directions: int = 12,
    *,
    change: Change = scaled,
    sigma: float = 0.0,
    assumed_variance: float | None = None,
) -> TravellingSubject:
    """A head whose target measures changed coefficients, with noise.

    `assumed_variance` is the subject's noise variance, if it is not the true one.
    """
    patches = mask_patches(image)
    matrix = evaluation_matrix([spiral(directions)], SHELLS)
    voxels = np.argwhere(image.mask)
    rng = np.random.default_rng(len(voxels) + directions)
    signal = change(patches[..., :6]) @ matrix.T
    noisy = signal + sigma * rng.standard_normal(signal.shape)
    smooth = gaussian_filter(rng.standard_normal((*image.mask.shape, 2)), (1, 1, 1, 0))
    maps = np.clip(0.4 + smooth, 0.05, 0.95) * image.mask[..., None] * [1, 2e-3]
    variance = sigma**2 if assumed_variance is None else assumed_variance
    matched = MatchedVoxels(
        patches=patches.astype(np.float16),
        signal=noisy.astype(np.float16),
        bvals=np.full(directions, 1000.0),
        bvecs=spiral(directions),
        sh_matrix=matrix.astype(np.float32),
        noise_variance=np.full(len(voxels), variance, np.float32),
        source_s0=np.ones(len(voxels), np.float32),
        points=(voxels @ image.affine[:3, :3].T + image.affine[:3, 3]).astype(np.float32),
        tissue=np.ones(len(voxels), dtype=np.uint8),
    )
    unharmonized = UnharmonizedData(
        source_coefficients=image.coefficients[image.mask],
        source_maps=maps.astype(np.float32),
        target_maps=maps[image.mask].astype(np.float32) * np.float32(1.1),
        target_tensor_bvals=np.array([0.0] + [1000.0] * directions),
    )
    return TravellingSubject(image, matched, unharmonized, image.coefficients[image.mask])


def fit_task(
    training: Sequence[TravellingSubject],
    validation: TravellingSubject | None = None,
    **changes: Any,
) -> FitTask:
    """A short fit of a small network; by default the last training subject is for validation."""
    task = FitTask(training, validation or training[-1], SHELLS, PLAIN, QUICK, seed=0)
    return replace(task, **changes)


def error(predicted: Float[np.ndarray, "v c"], truth: Float[np.ndarray, "v c"]) -> float:
    """Normalized squared error."""
    return float(np.square(predicted - truth).sum() / np.square(truth).sum())
