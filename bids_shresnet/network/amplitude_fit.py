"""Fit the amplitude head to measured lengths of coefficients, and match the means of tissues."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer
from scipy.optimize import least_squares
from scipy.special import gamma, hyp1f1
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

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
MAX_LOG_GAIN = 1.5
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
    _train_tissue(head, features, tissue, seed)
    means = _apply_in_chunks(head.mean_amplitudes, features)
    shares = _apply_in_chunks(head.grey_share, features)[:, 0]
    gains = [fit_gain(means[:, k], shares, lengths, tissue, k) for k in columns]
    head.gain = torch.tensor(gains, device=device)
    return loss


def _apply_in_chunks(
    function: Callable[[Tensor], Tensor], features: Float[Tensor, "v f"]
) -> Float[np.ndarray, "v n"]:
    with torch.inference_mode():
        parts = [function(chunk) for chunk in features.split(CHUNK_SIZE)]
    return np.asarray(torch.cat(parts).double().cpu().numpy())


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


def fit_gain(
    predicted: Float[np.ndarray, " v"],
    grey_share: Float[np.ndarray, " v"],
    lengths: Lengths,
    tissue: Integer[np.ndarray, " v"],
    column: int,
) -> tuple[float, float]:
    """Find the logarithms of two gains that give grey and white matter the target's mean lengths.

    The means are those of measured lengths, noise included, because FA is compared as measured:
    noise lengthens short vectors more than long ones, so that equal means of amplitudes would not
    give equal means of FA. Where a tissue is missing, one gain matches the mean of all voxels.
    """
    masks = [tissue == label for label in (Tissue.GM, Tissue.WM)]
    if min(mask.sum() for mask in masks) < MIN_TISSUE_VOXELS:
        masks = [np.ones(len(tissue), bool)]
    targets = [_GainTarget.measure(predicted, grey_share, lengths, mask, column) for mask in masks]

    def errors(logarithms: Float[np.ndarray, " n"]) -> list[float]:
        """Relative errors of the mean lengths; one logarithm serves both tissues."""
        grey, white = np.broadcast_to(logarithms, 2)
        return [target.error(grey, white) for target in targets]

    solution = least_squares(errors, np.zeros(len(targets)), bounds=(-MAX_LOG_GAIN, MAX_LOG_GAIN))
    grey, white = np.broadcast_to(solution.x, 2)
    return float(grey), float(white)


@dataclass(frozen=True)
class _GainTarget:
    """Predicted amplitudes of a tissue, the noise of its labels, and their mean length."""

    predicted: Float[np.ndarray, " v"]
    grey_share: Float[np.ndarray, " v"]
    noise_variance: Float[np.ndarray, " v"]
    mean_length: float

    @classmethod
    def measure(
        cls,
        predicted: Float[np.ndarray, " v"],
        grey_share: Float[np.ndarray, " v"],
        lengths: Lengths,
        mask: Bool[np.ndarray, " v"],
        column: int,
    ) -> _GainTarget:
        """Take evenly spaced voxels of a mask."""
        rows = np.flatnonzero(mask)
        rows = rows[:: max(1, len(rows) // MAX_DECONVOLVED_VOXELS)]
        squared = lengths.squared[rows, column].double().cpu().numpy()
        noise = lengths.noise_variance[rows, column].double().cpu().numpy()
        return cls(predicted[rows], grey_share[rows], noise, float(np.sqrt(squared).mean()))

    def error(self, grey: float, white: float) -> float:
        """Logarithm of the mean length of amplitudes with gains over the measured one."""
        gain = np.exp(self.grey_share * grey + (1 - self.grey_share) * white)
        mean = mean_length(gain * self.predicted, self.noise_variance).mean()
        return float(np.log(mean / self.mean_length))


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


def _train_tissue(
    head: AmplitudeHead,
    features: Float[Tensor, "v f"],
    tissue: Integer[np.ndarray, " v"],
    seed: int,
) -> None:
    """Tell grey from white matter by logistic regression, both with half of the weight."""
    masks = [torch.from_numpy(tissue == label) for label in (Tissue.GM, Tissue.WM)]
    counts = [max(int(mask.sum()), 1) for mask in masks]
    rows = torch.nonzero(masks[0] | masks[1])[:, 0].to(features.device)
    if not len(rows):
        return
    is_grey = masks[0].to(features.device)[rows].float()[:, None]
    weights = len(rows) / 2 * (is_grey / counts[0] + (1 - is_grey) / counts[1])

    def batch_loss(features: Tensor, is_grey: Tensor, weights: Tensor) -> Tensor:
        return binary_cross_entropy(head.grey_share(features), is_grey, weights)

    minimize_loss(head.tissue_layers, batch_loss, (features[rows], is_grey, weights), seed=seed)


def _train_head(
    head: AmplitudeHead, features: Float[Tensor, "v f"], lengths: Lengths, seed: int
) -> float:
    """Maximize the likelihood with Adam; returns the loss of the last epoch."""

    def batch_loss(features: Tensor, squared: Tensor, noise: Tensor, population: Tensor) -> Tensor:
        return head.loss(features, Lengths(squared, noise), population)

    population = head.population_likelihood(lengths)
    tensors = (features, lengths.squared, lengths.noise_variance, population)
    return minimize_loss(
        head.layers, batch_loss, tensors, seed=seed, max_gradient_norm=MAX_GRADIENT_NORM
    )
