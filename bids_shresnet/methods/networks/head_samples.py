"""Samples that the amplitude head is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from bids_shresnet.methods.harmonizer import FitTask
from bids_shresnet.methods.sampling import cut_voxel_patches, draw_rows, target_lengths
from bids_shresnet.network.amplitude import AmplitudeHead, Lengths
from bids_shresnet.network.patches import PATCHES_PER_CHUNK, rows_to_patches
from bids_shresnet.network.shresnet import SHResNet

CALIBRATION_VOXELS = 400_000  # with 200,000, the error of FA in white matter is 1 % larger
ANISOTROPY_SPREAD = 0.1  # standard deviation of the logarithm of common factors


@dataclass(frozen=True)
class HeadSamples:
    """Features, measured lengths and tissue (values of `Tissue`) of training voxels."""

    features: Float[Tensor, "v f"]
    lengths: Lengths
    tissue: Integer[np.ndarray, " v"]


def read_head_samples(network: SHResNet, head: AmplitudeHead, task: FitTask) -> HeadSamples:
    """Read samples of training voxels where the target's noise is known.

    The anisotropy of each patch and of its measurement is multiplied by a common random factor, as
    if this person had more or less of it. Few people travel, and without this the head learns which
    amplitudes their tissue has, rather than what a change of the source's amplitude means.
    """
    groups = [np.r_[head.output_groups[index]] for index in head.calibrated_groups]
    rng = np.random.default_rng([task.seed, 3])
    features: list[Tensor] = []
    squared: list[Tensor] = []
    noise: list[Tensor] = []
    tissue: list[np.ndarray] = []
    matches = [subject.matched for subject in task.training]
    drawn = draw_rows(matches, CALIBRATION_VOXELS, seed=[task.seed, 2])
    for subject, rows in zip(task.training, drawn, strict=True):
        measured, variances = target_lengths(subject.matched, rows, groups)
        is_known = np.isfinite(variances) & (variances > 0)
        is_usable = (is_known & (measured > 0)).all(axis=1)
        factors = np.exp(ANISOTROPY_SPREAD * rng.standard_normal((is_usable.sum(), 1)))
        patches = cut_voxel_patches(subject, rows[is_usable])
        features.append(_compute_features(network, head, patches, factors))
        squared.append(torch.from_numpy(measured[is_usable] * factors**2).float())
        noise.append(torch.from_numpy(variances[is_usable] * factors**2).float())
        tissue.append(subject.matched.tissue[rows[is_usable]])
    lengths = Lengths(torch.cat(squared), torch.cat(noise))
    return HeadSamples(torch.cat(features), lengths.to(head.unit.device), np.concatenate(tissue))


def scale_anisotropy(
    patches: Float[Tensor, "v 27 n"],
    groups: Sequence[slice],
    factors: Float[np.ndarray, "v 1"],
) -> Float[Tensor, "v 27 n"]:
    """Multiply all orders but 0 in each patch by its factor.

    `groups` are the places of the coefficients of every order and shell. Channels after them stay.
    """
    scaled = patches.clone()
    for group in groups:
        if group.stop - group.start > 1:
            scaled[..., group] *= torch.from_numpy(factors).float()[..., None]
    return scaled


def _compute_features(
    network: SHResNet,
    head: AmplitudeHead,
    patches: Float[Tensor, "v 27 n"],
    factors: Float[np.ndarray, "v 1"],
) -> Float[Tensor, "v f"]:
    """Compute features of scaled patches; only one chunk is copied at a time."""
    parts: list[Tensor] = []
    chunks = patches.split(PATCHES_PER_CHUNK)
    chunk_factors = torch.from_numpy(factors).split(PATCHES_PER_CHUNK)
    with torch.inference_mode():
        for chunk, factor in zip(chunks, chunk_factors, strict=True):
            rows = scale_anisotropy(chunk, head.input_groups, factor.numpy()).to(head.unit.device)
            parts.append(head.features(rows, network(rows_to_patches(rows))))
    return torch.cat(parts).clone()
