"""Fit the amplitude head to measured lengths of coefficients, and match their distribution."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import brentq
from torch import Tensor

from bids_shresnet.network.amplitude import (
    ORDER_2_COEFFICIENTS,
    POPULATION_SIZE,
    AmplitudeHead,
    Lengths,
    log_density,
)
from bids_shresnet.network.minimize import minimize_loss

AMPLITUDE_GRID = np.geomspace(0.005, 0.7, 40)  # S/S0; range of the amplitudes of order 2
QUANTILE_COUNT = 3000  # at which distributions are compared
STRETCH_SLOPE_RANGE = (0.2, 5.0)  # beyond it a prediction carries no information and is only scaled
MAX_DECONVOLVED_VOXELS = 100_000  # enough for a distribution
DECONVOLUTION_ITERATIONS = 60
MAX_GRADIENT_NORM = 1.0
CHUNK_SIZE = 8192


def fit_amplitude_head(
    head: AmplitudeHead, features: Float[Tensor, "v f"], lengths: Lengths, *, seed: int
) -> float:
    """Fit the head in place, on the device of all arguments; returns the last epoch's loss."""
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
    stretches = [fit_stretch(means[:, k], part) for k, part in enumerate(distributions)]
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
    amplitudes: Float[np.ndarray, " v"], distribution: Float[np.ndarray, " g"]
) -> tuple[float, float]:
    """Find a and b so that exp(a) amplitude^b matches a distribution over `AMPLITUDE_GRID`.

    The means of the lowest quarter and of the highest half are matched. Predicted means vary less
    than true amplitudes: without this the weakest tissue keeps too much anisotropy and the
    strongest too little.
    """
    true = _grid_quantiles(distribution, QUANTILE_COUNT)
    predicted = np.quantile(amplitudes, _levels(QUANTILE_COUNT))

    def ratio_error(slope: float) -> float:
        """Logarithm of the low-to-high ratio, predicted over true; it falls with the slope."""
        return float(np.log(_low_to_high_ratio(predicted**slope) / _low_to_high_ratio(true)))

    low, high = STRETCH_SLOPE_RANGE
    has_solution = ratio_error(low) > 0 > ratio_error(high)
    slope = float(brentq(ratio_error, low, high)) if has_solution else 1.0
    gain = _high_mean(true) / _high_mean(predicted**slope)
    return float(np.log(gain)), slope


def _levels(count: int) -> Float[np.ndarray, " n"]:
    """Evenly spaced probabilities between 0 and 1."""
    return np.asarray((np.arange(count) + 0.5) / count)


def _grid_quantiles(distribution: Float[np.ndarray, " g"], count: int) -> Float[np.ndarray, " n"]:
    """Quantiles of a distribution over `AMPLITUDE_GRID`, in ascending order."""
    centres = np.cumsum(distribution) - distribution / 2
    return np.asarray(np.interp(_levels(count), centres, AMPLITUDE_GRID))


def _low_to_high_ratio(values: Float[np.ndarray, " n"]) -> float:
    """Mean of the lowest quarter of ascending values over the mean of the highest half."""
    return float(values[: len(values) // 4].mean() / _high_mean(values))


def _high_mean(values: Float[np.ndarray, " n"]) -> float:
    return float(values[len(values) // 2 :].mean())


def _subsample(lengths: Lengths) -> Lengths:
    """Take evenly spaced voxels."""
    step = max(1, len(lengths.noise_variance) // MAX_DECONVOLVED_VOXELS)
    return Lengths(lengths.squared[::step], lengths.noise_variance[::step])


def _train_head(
    head: AmplitudeHead, features: Float[Tensor, "v f"], lengths: Lengths, seed: int
) -> float:
    """Maximize the likelihood with Adam; returns the loss of the last epoch."""

    def batch_loss(features: Tensor, squared: Tensor, noise_variance: Tensor) -> Tensor:
        return head.loss(features, Lengths(squared, noise_variance))

    tensors = (features, lengths.squared, lengths.noise_variance)
    return minimize_loss(head, batch_loss, tensors, seed=seed, max_gradient_norm=MAX_GRADIENT_NORM)
