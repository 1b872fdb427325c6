"""Linear regression of the target's coefficients from a patch: the normal equations, summed voxel by voxel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from bids_shresnet.pairs import MatchedVoxels, TravellingSubject

ROWS_PER_CHUNK = 20_000  # at a time; the patches of a subject stay on disk
RIDGE_PENALTY_PER_VOXEL = (
    1e-6  # times the number of voxels: next to nothing beside the noise of their channels
)


def fit_target_coefficients(
    matched: MatchedVoxels, rows: slice | np.ndarray = slice(None)
) -> Float[np.ndarray, "v c"]:
    """The target's coefficients, fitted to the measured signal without smoothing (which would shrink them)."""
    inverse = np.linalg.pinv(matched.sh_matrix.astype(np.float64))
    return np.asarray(matched.signal[rows] @ inverse.T.astype(np.float32))


def fit_ridge(
    training: Sequence[TravellingSubject], channels: int
) -> tuple[Float[np.ndarray, "f c"], Float[np.ndarray, " c"]]:
    """Weights and offset that predict a voxel from the first channels of its patch (27 x channels values, C order)."""
    size = 27 * channels + 1
    gram = np.zeros((size, size))
    cross: Float[np.ndarray, "f c"] = np.zeros((size, training[0].matched.sh_matrix.shape[1]))
    for subject in training:
        matched = subject.matched
        for start in range(0, len(matched.tissue), ROWS_PER_CHUNK):
            rows = slice(start, start + ROWS_PER_CHUNK)
            patch = matched.patches[rows, :, :channels].reshape(-1, size - 1).astype(np.float32)
            known = np.concatenate([patch, np.ones((len(patch), 1), np.float32)], axis=1)
            gram += known.T @ known
            cross += known.T @ fit_target_coefficients(matched, rows)
    voxels = gram[-1, -1]
    penalty = RIDGE_PENALTY_PER_VOXEL * voxels * np.eye(size)
    penalty[-1, -1] = 0  # the offset is free
    weights = np.linalg.solve(gram + penalty, cross).astype(np.float32)
    return weights[:-1], weights[-1]
