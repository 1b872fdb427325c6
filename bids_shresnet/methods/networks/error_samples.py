"""Samples that the error head is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from bids_shresnet.methods.harmonizer import FitTask
from bids_shresnet.methods.sampling import (
    cut_voxel_patches,
    draw_rows,
    select_near_voxels,
    target_lengths,
)
from bids_shresnet.network.amplitude import AmplitudeHead
from bids_shresnet.network.error_head import ErrorHead
from bids_shresnet.network.patches import PATCHES_PER_CHUNK, rows_to_patches
from bids_shresnet.network.prediction import Predictor
from bids_shresnet.pairs import MatchedVoxels

CANDIDATE_VOXELS = 400_000  # of which about a tenth lie near a voxel's centre


@dataclass(frozen=True)
class ErrorSamples:
    """Features, and squared errors of training voxels.

    Attributes
    ----------
    features
        Features of the error head.
    squared_error
        Mean squared difference of the coefficients of every order and shell.
    noise_variance
        Part of it that is the target's noise.
    """

    features: Float[Tensor, "v f"]
    squared_error: Float[Tensor, "v k"]
    noise_variance: Float[Tensor, "v k"]


def read_error_samples(
    predictor: Predictor, head: AmplitudeHead, error_head: ErrorHead, task: FitTask
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
                predicted = head(on_device, predictor(rows_to_patches(on_device)))
                features = error_head.features(on_device, predicted)
            errors = _square_errors(subject.matched, chunk.numpy(), predicted, error_head)
            parts.append(ErrorSamples(features, *errors))
    return _join(parts)


def _join(parts: Sequence[ErrorSamples]) -> ErrorSamples:
    """Join samples; the copy of the features can be trained on."""
    return ErrorSamples(
        torch.cat([part.features for part in parts]).clone(),
        torch.cat([part.squared_error for part in parts]),
        torch.cat([part.noise_variance for part in parts]),
    )


def _square_errors(
    matched: MatchedVoxels,
    rows: Integer[np.ndarray, " v"],
    predicted: Float[Tensor, "v c"],
    error_head: ErrorHead,
) -> tuple[Float[Tensor, "v k"], Float[Tensor, "v k"]]:
    """Mean squared difference of measurement and prediction for each order, and its noise."""
    groups = [np.r_[group] for group in error_head.output_groups]
    squared, noise = target_lengths(matched, rows, groups, predicted.cpu().numpy())
    squared /= [len(group) for group in groups]
    return (
        torch.from_numpy(squared).float().to(predicted.device),
        torch.from_numpy(noise).float().to(predicted.device),
    )
