"""Which voxels of the training subjects a method learns from, and what it is taught there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Integer

from bids_shresnet.methods.regression import fit_target_coefficients
from bids_shresnet.network.training_loop import Samples
from bids_shresnet.pairs import MatchedVoxels


def draw_rows(
    subjects: Sequence[MatchedVoxels], count: int, *, seed: list[int]
) -> list[Integer[np.ndarray, " _"]]:
    """Voxels of each subject, drawn from all subjects together, each at most once; all of them if `count` is 0."""
    ends = np.cumsum([len(subject.tissue) for subject in subjects])
    drawn = np.sort(np.random.default_rng(seed).permutation(ends[-1])[: count or None])
    parts = np.split(drawn, np.searchsorted(drawn, ends[:-1]))
    return [
        part - (end - len(subject.tissue))
        for part, end, subject in zip(parts, ends, subjects, strict=True)
    ]


def read_samples(
    subjects: Sequence[MatchedVoxels], rows: Sequence[Integer[np.ndarray, " _"]]
) -> Samples:
    """Read the voxels (in ascending order, kind to the disk) and pad to the largest number of directions."""
    directions = max(subject.sh_matrix.shape[0] for subject in subjects)

    def padded(array: Float[np.ndarray, "a d"], axis: int) -> Float[np.ndarray, "b e"]:
        missing = [
            (0, directions - array.shape[axis]) if k == axis else (0, 0) for k in range(array.ndim)
        ]
        return np.pad(array, missing)

    pairs = list(zip(subjects, rows, strict=True))
    return Samples(
        patches=torch.from_numpy(np.concatenate([s.patches[r] for s, r in pairs])),
        signal=torch.from_numpy(np.concatenate([padded(s.signal[r], 1) for s, r in pairs])),
        subject_index=torch.from_numpy(
            np.concatenate([np.full(len(r), i) for i, (_, r) in enumerate(pairs)])
        ),
        matrices=torch.from_numpy(
            np.stack([padded(s.sh_matrix, 0) for s in subjects]).astype(np.float32)
        ),
    )


def target_lengths(
    matched: MatchedVoxels,
    rows: Integer[np.ndarray, " v"],
    groups: Sequence[Integer[np.ndarray, " _"]],
    calibrated_orders: Sequence[int],
) -> tuple[Float[np.ndarray, "v k"], Float[np.ndarray, "v k"]]:
    """Squared length of the target's coefficients of some orders, and the variance of one coefficient's noise."""
    coefficients = fit_target_coefficients(matched, rows)
    matrix = matched.sh_matrix.astype(np.float64)
    covariance = np.linalg.pinv(matrix.T @ matrix)
    orders = [groups[number] for number in calibrated_orders]
    squared = np.stack([np.square(coefficients[:, group]).sum(axis=1) for group in orders], axis=1)
    per_noise = np.array(
        [np.trace(covariance[np.ix_(group, group)]) / len(group) for group in orders]
    )
    return squared, matched.noise_variance[rows][:, None] * per_noise
