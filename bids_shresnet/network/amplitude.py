"""How strong the target's signal varies with direction: the part of the harmonization that a squared error gets wrong.

A network trained by squared error predicts the mean of what the target could have measured, and the mean of vectors is
shorter than the vectors are: anisotropy shrinks, and FA with it. So a second, small network learns the length itself:
the amplitude (square root of RISH) of the order 2 of every shell. Its labels are lengths of measured coefficients, and
noise makes those too long; the likelihood it is trained by knows how noise does that. What it sees are lengths too, so
a turned head gives the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import brentq
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, normalize, softplus

ORDER_2_COEFFICIENTS = (
    5  # coefficients of order 2, which FA depends on; calibrating order 4 too costs signal
)
CENTRE_INDEX = 13  # of a patch, C order
MAX_OWN_DIRECTION_SHARE = 0.4  # most of its own direction that a scan keeps; measured on simulated heads (docs/experiments.md)
CROSS_INDICES = torch.tensor(
    [4, 10, 12, 13, 14, 16, 22]
)  # the centre of a patch and its six nearest neighbours, C order
LOG_SPREAD_RANGE = (
    0.02,
    0.6,
)  # standard deviation of the logarithm of the true amplitude, where the patch is known
MAX_AMPLITUDE_GAIN = 5.0
POPULATION_SIZE = 8  # amplitudes that stand for those of all voxels
AMPLITUDE_GRID = np.geomspace(0.005, 0.7, 40)  # S/S0; amplitudes of order 2 lie between
QUANTILE_COUNT = 3000  # of a distribution at which it is compared
STRETCH_SLOPE_RANGE = (
    0.2,
    5.0,
)  # between which the stretch is sought; beyond, a prediction tells nothing and is only scaled
QUADRATURE_NODES = 5  # nodes for the spread
OUTPUTS_PER_GROUP = 3  # amplitude, spread, share of strays


@dataclass(frozen=True)
class Lengths:
    """Measured lengths of the calibrated orders: squared, with noise, and the variance of one coefficient's noise."""

    squared: Float[Tensor, "v k"]
    noise_variance: Float[Tensor, "v k"]


class AmplitudeHead(nn.Module):
    """Channels of a patch and the prediction for its centre -> amplitudes of the target's calibrated orders."""

    centre: Tensor  # of the features
    scale: Tensor
    unit: Tensor  # root mean square amplitude
    population: Tensor
    stretch: Tensor  # a, b of exp(a) amplitude^b

    def __init__(
        self, outputs: Sequence[int], hidden: int = 64, input_counts: Sequence[int] = ()
    ) -> None:
        """`seen` are the orders and shells of the patch, where they are not those that are predicted."""
        super().__init__()
        self.hidden = hidden
        self.output_groups, self.input_groups = (
            _coefficient_groups(outputs),
            _coefficient_groups(input_counts or outputs),
        )
        self.has_own_directions = (
            not input_counts
        )  # what is predicted was measured as well, on the source scanner
        self.calibrated_groups = [
            number for number, count in enumerate(outputs) if count == ORDER_2_COEFFICIENTS
        ]
        features = (
            27 * (1 + len(self.input_groups)) + 2 * len(self.input_groups) + len(self.output_groups)
        )
        count = len(self.calibrated_groups)
        self.layers = nn.Sequential(
            *(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()),
            nn.Linear(hidden, OUTPUTS_PER_GROUP * count),
        )
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("unit", torch.ones(count))
        self.register_buffer("population", torch.ones(count, POPULATION_SIZE))
        self.register_buffer("stretch", torch.tensor([[0.0, 1.0]] * count))

    def features(
        self, patches: Float[Tensor, "v 27 n"], predicted: Float[Tensor, "v c"]
    ) -> Float[Tensor, "v f"]:
        """Lengths of all orders at 27 neighbours, of their means and of the prediction, and the contrast of S0."""
        around = patches[..., : sum(len(group) for group in self.input_groups)]
        means = torch.stack([around.mean(1), around[:, CROSS_INDICES].mean(1)], 1)  # (v, 2, c)
        lengths = [
            part[..., group].norm(dim=-1) for part in (around, means) for group in self.input_groups
        ]
        lengths += [predicted[:, group].norm(dim=1, keepdim=True) for group in self.output_groups]
        return torch.cat([patches[..., -1], *lengths], dim=1)

    def distribution(self, features: Float[Tensor, "v f"]) -> tuple[Tensor, Tensor, Tensor]:
        """Median amplitude, spread of its logarithm, and log-odds that the label is of this place; each (v, k)."""
        raw = self.layers((features - self.centre) / self.scale)
        median, spread, place = raw.unflatten(1, (-1, OUTPUTS_PER_GROUP)).unbind(-1)
        low, high = LOG_SPREAD_RANGE
        return softplus(median) * self.unit, low + (high - low) * torch.sigmoid(spread), place

    def mean_amplitudes(self, features: Float[Tensor, "v f"]) -> Float[Tensor, "v k"]:
        """Mean amplitude."""
        median, spread, _ = self.distribution(features)
        return median * (spread.square() / 2).exp()

    def forward(
        self, patches: Float[Tensor, "v 27 n"], predicted: Float[Tensor, "v c"]
    ) -> Float[Tensor, "v c"]:
        """The prediction with calibrated amplitudes and, where these are large, a part of the scan's own direction."""
        amplitudes = self.mean_amplitudes(self.features(patches, predicted))
        a, b = self.stretch.unbind(1)
        wanted = a.exp() * amplitudes**b
        out = predicted.clone()
        for column, number in enumerate(self.calibrated_groups):
            group, length = self.output_groups[number], wanted[:, column, None]
            direction = normalize(predicted[:, group])
            if self.has_own_directions:
                own, share = (
                    normalize(patches[:, CENTRE_INDEX, group]),
                    self.own_direction_share(column, length),
                )
                direction = normalize(torch.lerp(direction, own, share))
            most = MAX_AMPLITUDE_GAIN * predicted[:, group].norm(dim=1, keepdim=True)
            out[:, group] = torch.minimum(length, most) * direction
        return out

    def own_direction_share(
        self, column: int, length: Float[Tensor, "v 1"]
    ) -> Float[Tensor, "v 1"]:
        """How far the scan's own direction is to be believed.

        Registered pairs of scans teach to trust a voxel too little: its label lies half a millimetre beside it. At
        application nothing is registered. Where there is little to have a direction, the scan's is only noise.
        """
        typical = self.population[
            column, POPULATION_SIZE // 2 - 1 : POPULATION_SIZE // 2 + 1
        ].mean()
        return MAX_OWN_DIRECTION_SHARE * length / (length + typical)

    def loss(self, features: Float[Tensor, "v f"], lengths: Lengths) -> Float[Tensor, ""]:
        """Negative log-likelihood of the measured lengths.

        With the probability that the head gives, a label is of this place: then its amplitude is spread log-normally;
        else (a border that the registration missed) it is that of any voxel.
        """
        median, spread, place = self.distribution(features)
        nodes, weights = (
            torch.from_numpy(x).float()
            for x in np.polynomial.hermite_e.hermegauss(QUADRATURE_NODES)
        )
        here = median[..., None] * (spread[..., None] * nodes).exp()
        squared, noise = lengths.squared[..., None], lengths.noise_variance[..., None]
        of_place = torch.logsumexp(
            log_density(squared, noise, here) + (weights / weights.sum()).log(), -1
        )
        stray = torch.logsumexp(log_density(squared, noise, self.population), -1) - log(
            POPULATION_SIZE
        )
        return -torch.logaddexp(of_place + logsigmoid(place), stray + logsigmoid(-place)).mean()


def _coefficient_groups(counts: Sequence[int]) -> list[Tensor]:
    """Indices of the coefficients of every order and shell."""
    return list(torch.arange(sum(counts)).split(list(counts)))


def log_density(
    squared: Float[Tensor, "..."], noise: Float[Tensor, "..."], amplitude: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """Log-density of the squared length of 5 coefficients with Gaussian noise, up to what the length alone decides.

    The arguments are broadcast against each other.

    Over a sphere in five dimensions exp(z cos) has the mean 3 (z cosh z - sinh z) / z^3 (the noncentral chi-squared
    distribution of five degrees of freedom in closed form).
    """
    z = squared.sqrt() * amplitude / noise
    large = (((z - 1) + (z + 1) * (-2 * z).exp()).clamp_min(1e-20) * 1.5).log() - 3 * z.clamp_min(
        1e-6
    ).log()
    small = torch.log1p(z**2 / 10 + z**4 / 280) - z
    mean = torch.where(z > 0.5, large, small) + z
    return mean - (amplitude.square() + squared) / (2 * noise) - 2.5 * noise.log()


def deconvolve_amplitudes(
    lengths: Lengths, column: int, iterations: int = 60
) -> Float[np.ndarray, " g"]:
    """Distribution over `GRID` of the amplitudes behind measured lengths, by expectation maximization."""
    grid = torch.from_numpy(AMPLITUDE_GRID).float()
    density = log_density(
        lengths.squared[:, column, None], lengths.noise_variance[:, column, None], grid
    )
    likelihood = (density - density.amax(1, keepdim=True)).exp()
    share = torch.full((len(grid),), 1 / len(grid))
    for _ in range(iterations):
        posterior = likelihood * share
        share = (posterior / posterior.sum(1, keepdim=True)).mean(0)
    return share.double().numpy()


def fit_stretch(
    amplitudes: Float[np.ndarray, " v"], distribution: Float[np.ndarray, " g"]
) -> tuple[float, float]:
    """Find a and b so that exp(a) amplitude^b has the distribution's mean in its lowest quarter and its highest half.

    The mean of what is possible varies less than what is real. Without this the weakest tissue keeps too much
    anisotropy and the strongest too little.
    """
    place = (np.arange(QUANTILE_COUNT) + 0.5) / QUANTILE_COUNT
    real = np.interp(place, np.cumsum(distribution) - distribution / 2, AMPLITUDE_GRID)
    predicted = np.quantile(amplitudes, place)
    lowest, highest = slice(QUANTILE_COUNT // 4), slice(QUANTILE_COUNT // 2, None)

    def too_strong(slope: float) -> float:
        """Logarithm of how weak the lowest quarter is beside the highest half, predicted over real."""
        stretched = predicted**slope
        return float(
            np.log(
                _low_to_high_ratio(stretched, lowest, highest)
                / _low_to_high_ratio(real, lowest, highest)
            )
        )

    low, high = STRETCH_SLOPE_RANGE
    slope = float(brentq(too_strong, low, high)) if too_strong(low) > 0 > too_strong(high) else 1.0
    return float(np.log(real[highest].mean() / (predicted**slope)[highest].mean())), slope


def _low_to_high_ratio(values: Float[np.ndarray, " p"], lowest: slice, highest: slice) -> float:
    return float(values[lowest].mean() / values[highest].mean())


def fit_amplitude_head(
    head: AmplitudeHead,
    features: Float[Tensor, "v f"],
    lengths: Lengths,
    *,
    seed: int,
    epochs: int = 8,
    batch_size: int = 512,
    learning_rate: float = 4e-3,
) -> float:
    """Train the head in place; returns the loss of its last epoch."""
    head.centre, head.scale = features.mean(0), features.std(0).clamp_min(1e-6)
    power = (lengths.squared - ORDER_2_COEFFICIENTS * lengths.noise_variance).mean(0)
    head.unit = power.clamp_min(1e-6).sqrt()
    distributions = [
        deconvolve_amplitudes(_subsample(lengths), column)
        for column in range(len(head.calibrated_groups))
    ]
    places = (np.arange(POPULATION_SIZE) + 0.5) / POPULATION_SIZE
    quantiles = [
        np.interp(places, np.cumsum(part) - part / 2, AMPLITUDE_GRID) for part in distributions
    ]
    head.population = torch.from_numpy(np.stack(quantiles)).float()
    loss = _train_head(head, features, lengths, seed, epochs, batch_size, learning_rate)
    with torch.inference_mode():
        expected = (
            torch.cat([head.mean_amplitudes(part) for part in features.split(8192)])
            .double()
            .numpy()
        )
    pairs = [fit_stretch(expected[:, k], part) for k, part in enumerate(distributions)]
    head.stretch = torch.tensor(pairs)
    return loss


def _subsample(lengths: Lengths, max_voxels: int = 100_000) -> Lengths:
    """Evenly chosen voxels, enough for a distribution."""
    step = max(1, len(lengths.noise_variance) // max_voxels)
    return Lengths(lengths.squared[::step], lengths.noise_variance[::step])


def _train_head(
    head: AmplitudeHead,
    features: Float[Tensor, "v f"],
    lengths: Lengths,
    seed: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
) -> float:
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(head.parameters(), learning_rate)
    steps = epochs * -(-len(features) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    loss = 0.0
    for _ in range(epochs):
        loss = 0.0
        order: Int[Tensor, " v"] = torch.randperm(len(features), generator=generator)
        for rows in order.split(batch_size):
            optimizer.zero_grad()
            value = head.loss(
                features[rows], Lengths(lengths.squared[rows], lengths.noise_variance[rows])
            )
            value.backward()
            nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            loss += value.item() * len(rows) / len(features)
    return loss
