"""Voxels of the training subjects that a method is fitted on, and their labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from bids_shresnet.diffusion.spatial.interpolation import world_to_voxels
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.methods.regression import fit_target_coefficients
from bids_shresnet.network.patches import cut_patches, patches_to_rows
from bids_shresnet.network.training_loop import Samples
from bids_shresnet.pairs import MatchedVoxels, TravellingSubject

MAX_NEAR_OFFSET = 0.3  # voxels along each axis, about half the error of a registration


def draw_rows(
    subjects: Sequence[MatchedVoxels], count: int, *, seed: list[int]
) -> list[Integer[np.ndarray, " _"]]:
    """Draw voxels from all subjects together, each at most once; all of them if `count` is 0.

    Returns
    -------
    Ascending row indices of each subject.
    """
    sizes = [len(subject.tissue) for subject in subjects]
    ends = np.cumsum(sizes)
    drawn = np.sort(np.random.default_rng(seed).permutation(ends[-1])[: count or None])
    parts = np.split(drawn, np.searchsorted(drawn, ends[:-1]))
    starts = ends - sizes
    return [part - start for part, start in zip(parts, starts, strict=True)]


def read_samples(
    subjects: Sequence[MatchedVoxels], rows: Sequence[Integer[np.ndarray, " _"]]
) -> Samples:
    """Read rows of each subject, padded to the largest number of directions.

    Ascending rows are read fastest.
    """
    directions = max(len(subject.sh_matrix) for subject in subjects)
    pairs = list(zip(subjects, rows, strict=True))
    patches = [subject.patches[selected] for subject, selected in pairs]
    signals = [_pad_axis(subject.signal[selected], 1, directions) for subject, selected in pairs]
    indices = [np.full(len(selected), index) for index, selected in enumerate(rows)]
    matrices = [_pad_axis(subject.sh_matrix, 0, directions) for subject in subjects]
    return Samples(
        patches=torch.from_numpy(np.concatenate(patches)),
        signal=torch.from_numpy(np.concatenate(signals)),
        subject_index=torch.from_numpy(np.concatenate(indices)),
        matrices=torch.from_numpy(np.stack(matrices).astype(np.float32)),
    )


def select_near_voxels(
    subject: TravellingSubject, rows: Integer[np.ndarray, " v"]
) -> Bool[np.ndarray, " v"]:
    """Return whether a matched point is close to the centre of a source voxel."""
    if subject.matched.is_half:
        return np.ones(len(rows), bool)
    positions = _find_positions(subject, rows)
    return np.asarray(np.abs(positions - np.rint(positions)).max(axis=1) < MAX_NEAR_OFFSET)


def cut_voxel_patches(
    subject: TravellingSubject, rows: Integer[np.ndarray, " v"]
) -> Float[Tensor, "v 27 n"]:
    """Cut the patches of the source's voxels that hold the matched points.

    They have the noise of the patches that a network is applied to. `matched.patches` have a third
    less, because they are interpolated at the points. Those of halves of a scan are voxels' own,
    and those of the target's halves have no place in the source.
    """
    if subject.matched.is_half:
        return torch.from_numpy(subject.matched.patches[rows]).float()
    voxels = np.rint(_find_positions(subject, rows)).astype(int)
    return _cut_rows(subject.source.channels, voxels)


def cut_denoised_patches(
    subject: TravellingSubject, rows: Integer[np.ndarray, " v"]
) -> Float[Tensor, "v 27 c"]:
    """Cut the coefficients of the same patches without most of their noise."""
    if subject.matched.denoised_patches is not None:
        return torch.from_numpy(subject.matched.denoised_patches[rows]).float()
    voxels = np.rint(_find_positions(subject, rows)).astype(int)
    return _cut_rows(unmask(np.asarray(subject.source_denoised), subject.source.mask), voxels)


def _find_positions(
    subject: TravellingSubject, rows: Integer[np.ndarray, " v"]
) -> Float[np.ndarray, "v 3"]:
    """Positions of matched points in voxel units of the source."""
    points = subject.matched.points[rows].astype(np.float64)
    return world_to_voxels(points, subject.source.affine)


def _cut_rows(
    volume: Float[np.ndarray, "x y z n"], voxels: Integer[np.ndarray, "v 3"]
) -> Float[Tensor, "v 27 n"]:
    patches = cut_patches(torch.from_numpy(volume).float(), torch.from_numpy(voxels))
    return patches_to_rows(patches)


def target_lengths(
    matched: MatchedVoxels,
    rows: Integer[np.ndarray, " v"],
    groups: Sequence[Integer[np.ndarray, " _"]],
    predicted: Float[np.ndarray, "v c"] | None = None,
) -> tuple[Float[np.ndarray, "v k"], Float[np.ndarray, "v k"]]:
    """Squared length of the target's coefficients in each group, and noise variance of each one.

    With a prediction, it is the squared length of what the target differs from it.
    """
    coefficients = fit_target_coefficients(matched, rows)
    if predicted is not None:
        coefficients = coefficients - predicted
    matrix = matched.sh_matrix.astype(np.float64)
    covariance = np.linalg.pinv(matrix.T @ matrix)
    squared = np.stack([np.square(coefficients[:, group]).sum(axis=1) for group in groups], axis=1)
    relative = [np.trace(covariance[np.ix_(group, group)]) / len(group) for group in groups]
    return squared, matched.noise_variance[rows][:, None] * np.array(relative)


def _pad_axis(array: Float[np.ndarray, "a b"], axis: int, length: int) -> Float[np.ndarray, "c d"]:
    """Append zeros along an axis."""
    padding = [(0, 0), (0, 0)]
    padding[axis] = (0, length - array.shape[axis])
    return np.pad(array, padding)
