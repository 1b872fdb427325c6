"""Fit the amplitude head to measured lengths of coefficients, and match the means of tissues."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from scipy.optimize import least_squares
from scipy.special import gamma, hyp1f1
from torch import Tensor

from bids_shresnet.network.amplitude import (
    ORDER_2_COEFFICIENTS,
    POPULATION_SIZE,
    AmplitudeHead,
    Lengths,
    log_density,
)
from bids_shresnet.network.minimize import minimize_loss
from bids_shresnet.scans import Tissue

AMPLITUDE_GRID = np.geomspace(0.005, 0.7, 40)  # S/S0; range of the amplitudes of order 2
STRETCH_SLOPE_RANGE = (0.2, 5.0)  # beyond it a prediction carries no information and is only scaled
MAX_DECONVOLVED_VOXELS = 50_000  # enough for a distribution
MIN_TISSUE_VOXELS = 100  # for the mean of a tissue
DECONVOLUTION_ITERATIONS = 60
MAX_GRADIENT_NORM = 1.0
CHUNK_SIZE = 8192


def fit_amplitude_head(
    head: AmplitudeHead,
    features: Float[Tensor, "v f"],
    lengths: Lengths,
    tissue: Integer[np.ndarray, " v"],
    *,
    seed: int,
) -> float:
    """Fit the head in place, on the device of its samples.

    Parameters
    ----------
    features
        Features of patches with the noise that patches have when the head is applied.
    lengths
        What the target measured.
    tissue
        Values of `Tissue` as the target shows them. Grey and white matter get its mean amplitudes.

    Returns
    -------
    The loss of the last epoch.
    """
    device = features.device
    head.centre = features.mean(0)
    head.scale = features.std(0).clamp_min(1e-6)
    power = (lengths.squared - ORDER_2_COEFFICIENTS * lengths.noise_variance).mean(0)
    head.unit = power.clamp_min(1e-6).sqrt()
    sample = _subsample(lengths)
    columns = range(len(head.calibrated_groups))
    distributions = [deconvolve_amplitudes(sample, column) for column in columns]
    quantiles = [_grid_quantiles(part, POPULATION_SIZE) for part in distributions]
    head.population = torch.from_numpy(np.stack(quantiles)).float().to(device)
    loss = _train_head(head, features, lengths, seed)
    with torch.inference_mode():
        chunks = [head.mean_amplitudes(chunk) for chunk in features.split(CHUNK_SIZE)]
    means = torch.cat(chunks).double().cpu().numpy()
    stretches = [fit_stretch(means[:, k], lengths, tissue, k) for k in columns]
    head.stretch = torch.tensor(stretches, device=device)
    return loss


def deconvolve_amplitudes(lengths: Lengths, column: int) -> Float[np.ndarray, " g"]:
    """Estimate the distribution over `AMPLITUDE_GRID` of the amplitudes behind noisy lengths.

    It is the maximum of the likelihood, found by expectation maximization.
    """
    squared = lengths.squared[:, column, None]
    noise = lengths.noise_variance[:, column, None]
    grid = torch.from_numpy(AMPLITUDE_GRID).to(squared)
    density = log_density(squared, noise, grid)
    likelihood = (density - density.amax(1, keepdim=True)).exp()
    share = torch.full_like(grid, 1 / len(grid))
    for _ in range(DECONVOLUTION_ITERATIONS):
        posterior = likelihood * share
        share = (posterior / posterior.sum(1, keepdim=True)).mean(0)
    return share.double().cpu().numpy()


def fit_stretch(
    predicted: Float[np.ndarray, " v"],
    lengths: Lengths,
    tissue: Integer[np.ndarray, " v"],
    column: int,
) -> tuple[float, float]:
    """Find a and b so that exp(a) amplitude^b has the target's mean in grey and in white matter.

    A patch does not tell with certainty which tissue it shows, so that predicted amplitudes differ
    less between tissues than true ones. Without this, grey matter keeps too much anisotropy and
    white matter too little. The means are those of measured lengths, noise included, because FA is
    compared as measured: noise lengthens short vectors more than long ones, so that equal means of
    amplitudes would not give equal means of FA. Where a tissue is missing, b is 1, and the mean of
    all voxels is matched.
    """
    masks = [tissue == label for label in (Tissue.GM, Tissue.WM)]
    if min(mask.sum() for mask in masks) < MIN_TISSUE_VOXELS:
        every = _StretchTarget.measure(predicted, lengths, np.ones(len(tissue), bool), column)
        solution = least_squares(lambda x: [every.error(x[0], 1.0)], [0.0])
        return float(solution.x[0]), 1.0
    targets = [_StretchTarget.measure(predicted, lengths, mask, column) for mask in masks]
    low, high = STRETCH_SLOPE_RANGE
    solution = least_squares(
        lambda x: [target.error(*x) for target in targets],
        [0.0, 1.0],
        bounds=([-np.inf, low], [np.inf, high]),
    )
    a, b = solution.x
    return float(a), float(b)


@dataclass(frozen=True)
class _StretchTarget:
    """Predicted amplitudes of a tissue, the noise of its labels, and their mean length."""

    predicted: Float[np.ndarray, " v"]
    noise_variance: Float[np.ndarray, " v"]
    mean_length: float

    @classmethod
    def measure(
        cls,
        predicted: Float[np.ndarray, " v"],
        lengths: Lengths,
        mask: Bool[np.ndarray, " v"],
        column: int,
    ) -> _StretchTarget:
        """Take evenly spaced voxels of a mask."""
        rows = np.flatnonzero(mask)
        rows = rows[:: max(1, len(rows) // MAX_DECONVOLVED_VOXELS)]
        squared = lengths.squared[rows, column].double().cpu().numpy()
        noise = lengths.noise_variance[rows, column].double().cpu().numpy()
        return cls(predicted[rows], noise, float(np.sqrt(squared).mean()))

    def error(self, a: float, b: float) -> float:
        """Logarithm of the mean length of stretched amplitudes over the measured one."""
        amplitudes = np.exp(a) * self.predicted**b
        return float(np.log(mean_length(amplitudes, self.noise_variance).mean() / self.mean_length))


def mean_length(
    amplitude: Float[np.ndarray, " v"], noise_variance: Float[np.ndarray, " v"]
) -> Float[np.ndarray, " v"]:
    """Mean length of five coefficients of an amplitude with Gaussian noise.

    It is the mean of a noncentral chi distribution of five degrees of freedom.
    """
    ratio = np.square(amplitude) / noise_variance
    scale = np.sqrt(2 * noise_variance) * gamma((ORDER_2_COEFFICIENTS + 1) / 2)
    central = scale / gamma(ORDER_2_COEFFICIENTS / 2)
    return np.asarray(central * hyp1f1(-0.5, ORDER_2_COEFFICIENTS / 2, -ratio / 2))


def _grid_quantiles(distribution: Float[np.ndarray, " g"], count: int) -> Float[np.ndarray, " n"]:
    """Quantiles of a distribution over `AMPLITUDE_GRID`, in ascending order."""
    centres = np.cumsum(distribution) - distribution / 2
    levels = (np.arange(count) + 0.5) / count
    return np.asarray(np.interp(levels, centres, AMPLITUDE_GRID))


def _subsample(lengths: Lengths) -> Lengths:
    """Take evenly spaced voxels."""
    step = max(1, len(lengths.noise_variance) // MAX_DECONVOLVED_VOXELS)
    return Lengths(lengths.squared[::step], lengths.noise_variance[::step])


def _train_head(
    head: AmplitudeHead, features: Float[Tensor, "v f"], lengths: Lengths, seed: int
) -> float:
    """Maximize the likelihood with Adam; returns the loss of the last epoch."""

    def batch_loss(features: Tensor, squared: Tensor, noise: Tensor, population: Tensor) -> Tensor:
        return head.loss(features, Lengths(squared, noise), population)

    population = head.population_likelihood(lengths)
    tensors = (features, lengths.squared, lengths.noise_variance, population)
    return minimize_loss(head, batch_loss, tensors, seed=seed, max_gradient_norm=MAX_GRADIENT_NORM)
