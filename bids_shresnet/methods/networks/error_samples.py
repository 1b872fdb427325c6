"""Samples that the error head is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from bids_shresnet.methods.harmonizer import FitTask
from bids_shresnet.methods.sampling import cut_voxel_patches, draw_rows, select_near_voxels
from bids_shresnet.network.amplitude import AmplitudeHead
from bids_shresnet.network.error_head import ErrorHead
from bids_shresnet.network.patches import PATCHES_PER_CHUNK, rows_to_patches
from bids_shresnet.network.shresnet import SHResNet
from bids_shresnet.pairs import MatchedVoxels

CANDIDATE_VOXELS = 400_000  # of which about a tenth lie near a voxel's centre


@dataclass(frozen=True)
class ErrorSamples:
    """Features, squared errors by shell, and noise variance of training voxels."""

    features: Float[Tensor, "v f"]
    squared_error: Float[Tensor, "v s"]
    noise_variance: Float[Tensor, "v 1"]


def read_error_samples(
    network: SHResNet, head: AmplitudeHead, error_head: ErrorHead, task: FitTask
) -> ErrorSamples:
    """Read samples near the centres of source voxels, where the target's noise is known.

    Elsewhere the error of half a voxel between patch and label would count as uncertainty.
    """
    subjects = [subject.matched for subject in task.training]
    drawn = draw_rows(subjects, CANDIDATE_VOXELS, seed=[task.seed, 4])
    parts: list[ErrorSamples] = []
    for subject, candidates in zip(task.training, drawn, strict=True):
        is_known = np.isfinite(subject.matched.noise_variance[candidates])
        rows = candidates[is_known & select_near_voxels(subject, candidates)]
        patches = cut_voxel_patches(subject, rows)
        chunks = torch.from_numpy(rows).split(PATCHES_PER_CHUNK)
        for chunk, part in zip(chunks, patches.split(PATCHES_PER_CHUNK), strict=True):
            on_device = part.to(head.unit.device)
            with torch.inference_mode():
                predicted = head(on_device, network(rows_to_patches(on_device)))
                features = error_head.features(on_device, predicted)
            parts.append(_compare(subject.matched, chunk.numpy(), features, predicted))
    return _join(parts)


def _compare(
    matched: MatchedVoxels,
    rows: Integer[np.ndarray, " v"],
    features: Float[Tensor, "v f"],
    predicted: Float[Tensor, "v c"],
) -> ErrorSamples:
    """Compare predictions with the measurement."""
    squared = _square_errors(matched, rows, predicted.cpu().numpy()).to(features.device)
    noise = torch.from_numpy(matched.noise_variance[rows, None]).float().to(features.device)
    return ErrorSamples(features, squared, noise)


def _join(parts: Sequence[ErrorSamples]) -> ErrorSamples:
    """Join samples; the copy of the features can be trained on."""
    return ErrorSamples(
        torch.cat([part.features for part in parts]).clone(),
        torch.cat([part.squared_error for part in parts]),
        torch.cat([part.noise_variance for part in parts]),
    )


def _square_errors(
    matched: MatchedVoxels, rows: Integer[np.ndarray, " v"], predicted: Float[np.ndarray, "v c"]
) -> Float[Tensor, "v s"]:
    """Mean squared difference of measurement and prediction over the directions of each shell."""
    signal = matched.signal[rows].astype(np.float32)
    squared = np.square(predicted @ matched.sh_matrix.T - signal)
    shells = [squared[:, matched.bvals == bvalue].mean(axis=1) for bvalue in _shells(matched)]
    return torch.from_numpy(np.stack(shells, axis=1)).float()


def _shells(matched: MatchedVoxels) -> Float[np.ndarray, " s"]:
    """b-values of the shells, in ascending order."""
    return np.unique(matched.bvals)
