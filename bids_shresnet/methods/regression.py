"""Linear regression of the target's coefficients on a patch, by normal equations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from bids_shresnet.pairs import MatchedVoxels, TravellingSubject

ROWS_PER_CHUNK = 20_000  # read at a time; the patches of a subject stay on disk
RIDGE_PENALTY_PER_VOXEL = 1e-6  # far below the noise of the channels


def fit_target_coefficients(
    matched: MatchedVoxels, rows: slice | np.ndarray = slice(None)
) -> Float[np.ndarray, "v c"]:
    """Fit coefficients to the target's signal without regularization, which would shrink them."""
    inverse = np.linalg.pinv(matched.sh_matrix.astype(np.float64))
    return np.asarray(matched.signal[rows] @ inverse.T.astype(np.float32))


def fit_ridge(
    training: Sequence[TravellingSubject], channels: int, device: str = "cpu"
) -> tuple[Float[np.ndarray, "f c"], Float[np.ndarray, " c"]]:
    """Fit weights and offset that predict a voxel from the first channels of its patch.

    The features are 27 x channels values in C order. A GPU computes products of chunks in single
    precision, as numpy does; their sums are in double precision.
    """
    size = 27 * channels + 1
    gram = np.zeros((size, size))
    cross: Float[np.ndarray, "f c"] = np.zeros((size, training[0].matched.sh_matrix.shape[1]))
    for subject in training:
        matched = subject.matched
        for start in range(0, len(matched.tissue), ROWS_PER_CHUNK):
            rows = slice(start, start + ROWS_PER_CHUNK)
            features = _patch_features(matched, rows, channels)
            gram += _multiply(features, features, device)
            cross += _multiply(features, fit_target_coefficients(matched, rows), device)
    voxels = gram[-1, -1]
    penalty = RIDGE_PENALTY_PER_VOXEL * voxels * np.eye(size)
    penalty[-1, -1] = 0  # the offset has no penalty
    weights = np.linalg.solve(gram + penalty, cross).astype(np.float32)
    return weights[:-1], weights[-1]


def _patch_features(matched: MatchedVoxels, rows: slice, channels: int) -> Float[np.ndarray, "v f"]:
    """Channels of the patches, and a last column of ones for the offset."""
    patches = matched.patches[rows, :, :channels].reshape(-1, 27 * channels).astype(np.float32)
    return np.concatenate([patches, np.ones((len(patches), 1), np.float32)], axis=1)


def _multiply(
    features: Float[np.ndarray, "v f"], others: Float[np.ndarray, "v c"], device: str
) -> Float[np.ndarray, "f c"]:
    """Multiply transposed features with other columns of the same voxels."""
    if device == "cpu":
        return np.asarray(features.T @ others)
    left = torch.from_numpy(features).to(device)
    right = left if others is features else torch.from_numpy(others).to(device)
    return np.asarray((left.T @ right).cpu().numpy())
