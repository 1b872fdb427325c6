"""Samples that the amplitude head is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor

from bids_shresnet.methods.harmonizer import FitTask
from bids_shresnet.methods.networks.diffusion_factors import MEAN_PER_ORDER_0, DiffusionFactors
from bids_shresnet.methods.sampling import (
    cut_denoised_patches,
    cut_voxel_patches,
    draw_rows,
    target_lengths,
)
from bids_shresnet.network.amplitude import AmplitudeHead, Lengths, is_order_0
from bids_shresnet.network.patches import PATCHES_PER_CHUNK, rows_to_patches
from bids_shresnet.network.prediction import Predictor
from bids_shresnet.pairs import MatchedVoxels, TravellingSubject
from bids_shresnet.settings import CALIBRATION_VOXELS


@dataclass(frozen=True)
class HeadSamples:
    """Features, measured lengths and tissue (values of `Tissue`) of training voxels."""

    features: Float[Tensor, "v f"]
    lengths: Lengths
    tissue: Integer[np.ndarray, " v"]


@dataclass(frozen=True)
class _Labels:
    """What the target measured in usable rows: means of S/S0, and lengths of calibrated orders."""

    rows: Int[np.ndarray, " v"]
    means: Float[Tensor, "v k"]
    squared: Float[Tensor, "v k"]
    noise_variance: Float[Tensor, "v k"]

    def change(self, factors: DiffusionFactors) -> Lengths:
        """Change FA and MD. Noise stays as large relative to the lengths as it was."""
        squared_scale = factors.scale_variations(self.means) ** 2
        return Lengths(self.squared * squared_scale, self.noise_variance * squared_scale)


def read_head_samples(predictor: Predictor, head: AmplitudeHead, task: FitTask) -> HeadSamples:
    """Read samples of training voxels where the target's noise is known.

    FA and MD of each patch and of its measurement are multiplied by common random factors, as if
    this person had more or less of them. The noise of the patch stays. Few people travel, and
    without this the head learns which amplitudes their tissue has, rather than what a change of the
    source's signal means.
    """
    rng = np.random.default_rng([task.seed, 3])
    matches = [subject.matched for subject in task.training]
    drawn = draw_rows(matches, CALIBRATION_VOXELS, seed=[task.seed, 2])
    parts = [
        _read_subject(predictor, head, subject, rows, rng)
        for subject, rows in zip(task.training, drawn, strict=True)
    ]
    return _join(parts, head.unit.device)


def _read_subject(
    predictor: Predictor,
    head: AmplitudeHead,
    subject: TravellingSubject,
    rows: Integer[np.ndarray, " v"],
    rng: np.random.Generator,
) -> HeadSamples:
    labels = _read_labels(subject.matched, rows, head)
    factors = DiffusionFactors.draw(len(labels.rows), rng)
    return HeadSamples(
        features=_compute_features(predictor, head, subject, labels.rows, factors),
        lengths=labels.change(factors),
        tissue=subject.matched.tissue[labels.rows],
    )


def _read_labels(
    matched: MatchedVoxels, rows: Integer[np.ndarray, " v"], head: AmplitudeHead
) -> _Labels:
    """Read the rows whose noise is known and whose lengths are not 0."""
    order_0 = [group for group in head.output_groups if is_order_0(group)]
    groups = [np.r_[group] for group in (*order_0, *head.calibrated_slices)]
    measured, variances = target_lengths(matched, rows, groups)
    is_known = np.isfinite(variances) & (variances > 0)
    is_usable = (is_known & (measured > 0)).all(axis=1)
    squared = torch.from_numpy(measured[is_usable]).float()
    count = len(order_0)
    return _Labels(
        rows=rows[is_usable],
        means=squared[:, :count].sqrt() * MEAN_PER_ORDER_0,
        squared=squared[:, count:],
        noise_variance=torch.from_numpy(variances[is_usable, count:]).float(),
    )


def _compute_features(
    predictor: Predictor,
    head: AmplitudeHead,
    subject: TravellingSubject,
    rows: Integer[np.ndarray, " v"],
    factors: DiffusionFactors,
) -> Float[Tensor, "v f"]:
    """Compute features of changed patches, which are changed in chunks."""
    patches = cut_voxel_patches(subject, rows).split(PATCHES_PER_CHUNK)
    denoised = cut_denoised_patches(subject, rows).split(PATCHES_PER_CHUNK)
    chunks = zip(patches, denoised, factors.split(PATCHES_PER_CHUNK), strict=True)
    parts: list[Tensor] = []
    with torch.inference_mode():
        for noisy, clean, drawn in chunks:
            changed = drawn.change_patches(noisy, clean, head.input_groups)
            on_device = changed.to(head.unit.device)
            parts.append(head.features(on_device, predictor(rows_to_patches(on_device))))
    return torch.cat(parts).clone()


def _join(parts: Sequence[HeadSamples], device: torch.device) -> HeadSamples:
    lengths = Lengths(
        torch.cat([part.lengths.squared for part in parts]),
        torch.cat([part.lengths.noise_variance for part in parts]),
    )
    return HeadSamples(
        torch.cat([part.features for part in parts]),
        lengths.to(device),
        np.concatenate([part.tissue for part in parts]),
    )
