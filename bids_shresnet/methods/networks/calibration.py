"""Calibrate a trained network: its amplitudes, their regional means, and its error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from bids_shresnet.diffusion.spatial.regional_power import draw_region_voxels, measure_log_ratios
from bids_shresnet.methods.harmonizer import FitTask
from bids_shresnet.methods.networks.error_samples import read_error_samples
from bids_shresnet.methods.networks.head_samples import read_head_samples
from bids_shresnet.network.amplitude import AmplitudeHead
from bids_shresnet.network.amplitude_fit import fit_amplitude_head
from bids_shresnet.network.error_head import ErrorHead, fit_error_head
from bids_shresnet.network.prediction import Predictor
from bids_shresnet.scans import ShImage


def calibrate_amplitudes(
    predictor: Predictor, task: FitTask
) -> tuple[AmplitudeHead | None, Mapping[str, Any]]:
    """Fit the amplitude head.

    Returns
    -------
    The head, and notes on its fit. The head is None if the target's noise is not known (one b0 and
    no spare directions).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        head = AmplitudeHead(task.outputs, input_counts=task.input_counts).to(task.device)
    samples = read_head_samples(predictor, head, task)
    if not len(samples.tissue):
        return None, {"calibration": "none: the target's noise is not known"}
    loss = fit_amplitude_head(
        head, samples.features, samples.lengths, samples.tissue, seed=task.seed
    )
    return head.eval(), {"calibration": {"loss": loss, "gain": head.gain.tolist()}}


def learn_error(predictor: Predictor, head: AmplitudeHead, task: FitTask) -> ErrorHead | None:
    """Fit the error head; None if no matched point lies near a voxel of the source."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(task.seed)
        error_head = ErrorHead(task.outputs, input_counts=task.input_counts).to(task.device)
    samples = read_error_samples(predictor, head, error_head, task)
    if not len(samples.features):
        return None
    fit_error_head(
        error_head,
        samples.features,
        samples.squared_error,
        samples.noise_variance,
        seed=task.seed,
    )
    return error_head.cpu().eval()


def average_log_ratios(
    predict: Callable[[ShImage], Float[np.ndarray, "v c"]], groups: Sequence[slice], task: FitTask
) -> Float[np.ndarray, "s 2"] | None:
    """Average the ratios of the training scans, each from some of its voxels.

    Parameters
    ----------
    predict
        Predicts the coefficients of the voxels of a mask.
    groups
        Places of order 2 of each shell.

    Returns
    -------
    None if the power of no scan is known, as of halves of scans.
    """
    images = [subject.source for subject in task.training]
    ratios = []
    for number, image in enumerate(images):
        if image.order_2_power is not None:
            drawn = draw_region_voxels(image.mask, seed=[task.seed, 4, number])
            part = replace(image, mask=drawn)
            ratios.append(measure_log_ratios(predict(part), part, groups))
    known = [ratio for ratio in ratios if np.isfinite(ratio).all()]
    return np.mean(known, axis=0) if known else None
