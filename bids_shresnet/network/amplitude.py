"""The amplitude head: how strongly the target's signal varies with direction.

A network trained by squared error predicts the mean of what the target could have measured. The
mean of vectors is shorter than the vectors, so anisotropy shrinks, and FA with it. A second, small
network therefore predicts the length itself: the amplitude (square root of RISH) of order 2 of
every shell. Its labels are lengths of measured coefficients. Noise makes those too long, which the
likelihood takes into account. Its features are lengths too, so a rotated head gives the same
answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import log

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, normalize, softplus

from bids_shresnet.network.patches import CENTRE_INDEX

ORDER_2_COEFFICIENTS = 5  # FA depends on order 2; calibrating order 4 as well costs signal
CROSS_INDICES = torch.tensor([4, 10, 12, 13, 14, 16, 22])  # centre of a patch, 6 nearest, C order
MAX_OWN_DIRECTION_SHARE = 0.4  # measured on simulated heads (docs/experiments.md)
LOG_SPREAD_RANGE = (0.02, 0.6)  # standard deviation of the log amplitude, given the patch
MAX_AMPLITUDE_GAIN = 5.0
POPULATION_SIZE = 8  # amplitudes that represent those of all voxels
QUADRATURE_NODES = 5  # for the integral over the spread
PATCH_SIZE = 27
MEANS = 2  # of a patch: all voxels, and the nearest ones
TISSUE_HIDDEN = 16
OUTPUTS_PER_GROUP = 3  # median amplitude, spread, log-odds of a matching label


@dataclass(frozen=True)
class Lengths:
    """Squared measured lengths of the calibrated orders, and the noise variance per coefficient."""

    squared: Float[Tensor, "v k"]
    noise_variance: Float[Tensor, "v k"]

    def to(self, device: torch.device) -> Lengths:
        """Move to a device."""
        return Lengths(self.squared.to(device), self.noise_variance.to(device))


class AmplitudeHead(nn.Module):
    """Predict the amplitudes of the target's calibrated orders from a patch and its prediction.

    `input_counts` are the coefficients of each order and shell of the patch, if they are not those
    that are predicted.
    """

    level_columns: Tensor  # of the features
    centre: Tensor  # mean of the features
    scale: Tensor  # standard deviation of the features
    unit: Tensor  # root mean square amplitude
    population: Tensor  # quantiles of the amplitudes of all voxels
    gain: Tensor  # logarithms of the factors on amplitudes in grey and in white matter
    nodes: Tensor  # of the integral over the spread
    log_shares: Tensor  # logarithms of their weights, which add up to 1

    def __init__(
        self, outputs: Sequence[int], hidden: int = 64, input_counts: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.output_groups = coefficient_groups(outputs)
        self.input_groups = coefficient_groups(input_counts or outputs)
        self.has_own_directions = not input_counts  # the source scanner measured these shells too
        self.calibrated_groups = [
            index for index, count in enumerate(outputs) if count == ORDER_2_COEFFICIENTS
        ]
        count = len(self.calibrated_groups)
        features = count_head_features(self.input_groups, self.output_groups)
        self.layers = nn.Sequential(
            *(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()),
            nn.Linear(hidden, OUTPUTS_PER_GROUP * count),
        )
        columns = np.array(level_columns(self.input_groups, self.output_groups))
        self.tissue_layers = nn.Sequential(
            nn.Linear(len(columns), TISSUE_HIDDEN),
            nn.ReLU(),
            nn.Linear(TISSUE_HIDDEN, 1),
        )
        self.register_buffer("level_columns", torch.from_numpy(columns), persistent=False)
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("unit", torch.ones(count))
        self.register_buffer("population", torch.ones(count, POPULATION_SIZE))
        self.register_buffer("gain", torch.zeros(count, 2))
        nodes, weights = np.polynomial.hermite_e.hermegauss(QUADRATURE_NODES)
        shares = torch.from_numpy(weights).float()
        self.register_buffer("nodes", torch.from_numpy(nodes).float(), persistent=False)
        self.register_buffer("log_shares", (shares / shares.sum()).log(), persistent=False)

    @property
    def calibrated_slices(self) -> list[slice]:
        """Places of the calibrated coefficients in a prediction, one for each shell."""
        return [self.output_groups[index] for index in self.calibrated_groups]

    def features(
        self, patches: Float[Tensor, "v 27 n"], predicted: Float[Tensor, "v c"]
    ) -> Float[Tensor, "v f"]:
        """Contrast of S0, and lengths of all orders of the patch, its means and the prediction."""
        return head_features(patches, predicted, self.input_groups, self.output_groups)

    def distribution(self, features: Float[Tensor, "v f"]) -> tuple[Tensor, Tensor, Tensor]:
        """Median amplitude, spread of its logarithm, and log-odds of a matching label; (v, k)."""
        raw = self.layers((features - self.centre) / self.scale)
        median, spread, match_logit = raw.unflatten(1, (-1, OUTPUTS_PER_GROUP)).unbind(-1)
        low, high = LOG_SPREAD_RANGE
        return softplus(median) * self.unit, low + (high - low) * torch.sigmoid(spread), match_logit

    def mean_amplitudes(self, features: Float[Tensor, "v f"]) -> Float[Tensor, "v k"]:
        """Mean of the predicted log-normal distribution of the amplitude."""
        median, spread, _ = self.distribution(features)
        return median * (spread.square() / 2).exp()

    def grey_share(self, features: Float[Tensor, "v f"]) -> Float[Tensor, "v 1"]:
        """Probability of grey and not white matter, by all features but anisotropy."""
        levels = ((features - self.centre) / self.scale)[:, self.level_columns]
        return torch.sigmoid(self.tissue_layers(levels))

    def tissue_gain(self, features: Float[Tensor, "v f"]) -> Float[Tensor, "v k"]:
        """Factor that gives the amplitudes of each tissue the target's mean.

        A patch does not tell with certainty which tissue it shows, so that predicted amplitudes
        differ less between tissues than true ones. The factor depends on the tissue and not on the
        amplitude, so that changes of anisotropy pass as they are.
        """
        share = self.grey_share(features)
        grey, white = self.gain.unbind(1)
        return (share * grey + (1 - share) * white).exp()

    def forward(
        self, patches: Float[Tensor, "v 27 n"], predicted: Float[Tensor, "v c"]
    ) -> Float[Tensor, "v c"]:
        """Calibrate the amplitudes of a prediction.

        Large amplitudes also receive a part of the scan's own direction.
        """
        features = self.features(patches, predicted)
        amplitudes = self.mean_amplitudes(features) * self.tissue_gain(features)
        out = predicted.clone()
        for column, group in enumerate(self.calibrated_slices):
            length = amplitudes[:, column, None]
            direction = normalize(predicted[:, group])
            if self.has_own_directions:
                own = normalize(patches[:, CENTRE_INDEX, group])
                share = self.own_direction_share(column, length)
                direction = normalize(torch.lerp(direction, own, share))
            limit = MAX_AMPLITUDE_GAIN * predicted[:, group].norm(dim=1, keepdim=True)
            out[:, group] = torch.minimum(length, limit) * direction
        return out

    def own_direction_share(
        self, column: int, length: Float[Tensor, "v 1"]
    ) -> Float[Tensor, "v 1"]:
        """Weight of the scan's own direction in the direction of the result.

        Networks trained on registered pairs trust a voxel too little, because its label is half a
        millimetre away. At application nothing is registered. Where the amplitude is small, the
        scan's own direction is mostly noise and gets a small weight.
        """
        middle = slice(POPULATION_SIZE // 2 - 1, POPULATION_SIZE // 2 + 1)
        typical = self.population[column, middle].mean()
        return MAX_OWN_DIRECTION_SHARE * length / (length + typical)

    def loss(
        self,
        features: Float[Tensor, "v f"],
        lengths: Lengths,
        population_likelihood: Float[Tensor, "v k"],
    ) -> Float[Tensor, ""]:
        """Negative log-likelihood of the measured lengths.

        A label matches its voxel with the predicted probability. Its amplitude is then distributed
        log-normally. Otherwise (at a border that the registration missed) it is that of any voxel,
        whose log-likelihood does not depend on the weights.
        """
        median, spread, match_logit = self.distribution(features)
        factors = (spread[..., None] * self.nodes).exp()
        squared = lengths.squared[..., None]
        noise = lengths.noise_variance[..., None]
        matching = log_density(squared, noise, median[..., None] * factors)
        matching_likelihood = torch.logsumexp(matching + self.log_shares, -1)
        return -torch.logaddexp(
            matching_likelihood + logsigmoid(match_logit),
            population_likelihood + logsigmoid(-match_logit),
        ).mean()

    def population_likelihood(self, lengths: Lengths) -> Float[Tensor, "v k"]:
        """Log-likelihood of the measured lengths if their amplitudes are those of any voxel."""
        squared = lengths.squared[..., None]
        density = log_density(squared, lengths.noise_variance[..., None], self.population)
        return torch.logsumexp(density, -1) - log(POPULATION_SIZE)


def head_features(
    patches: Float[Tensor, "v 27 n"],
    predicted: Float[Tensor, "v c"],
    inputs: Sequence[slice],
    outputs: Sequence[slice],
) -> Float[Tensor, "v f"]:
    """Features of a patch, and lengths of all orders of its prediction.

    `inputs` and `outputs` are the places of the coefficients of every order and shell.
    """
    lengths = [predicted[:, group].norm(dim=1, keepdim=True) for group in outputs]
    return torch.cat([length_features(patches, inputs), *lengths], dim=1)


def count_head_features(inputs: Sequence[slice], outputs: Sequence[slice]) -> int:
    """Number of `head_features`."""
    return count_length_features(inputs) + len(outputs)


def length_features(
    patches: Float[Tensor, "v 27 n"], groups: Sequence[slice]
) -> Float[Tensor, "v f"]:
    """Contrast of S0, and lengths of each order in the patch and in its two means.

    `groups` are the places of the coefficients of every order and shell.
    """
    coefficients = patches[..., : groups[-1].stop]
    cross = coefficients[:, CROSS_INDICES.to(patches.device)]
    means = torch.stack([coefficients.mean(1), cross.mean(1)], 1)  # (v, 2, c)
    lengths = [coefficients[..., group].norm(dim=-1) for group in groups]
    lengths += [means[..., group].norm(dim=-1) for group in groups]
    return torch.cat([patches[..., -1], *lengths], dim=1)


def level_columns(inputs: Sequence[slice], outputs: Sequence[slice]) -> list[int]:
    """Columns of the head's features that do not depend on anisotropy: S0 and order 0."""
    columns = list(range(PATCH_SIZE))
    start = PATCH_SIZE
    for width in (PATCH_SIZE, MEANS):
        for group in inputs:
            if is_order_0(group):
                columns += range(start, start + width)
            start += width
    return columns + [start + k for k, group in enumerate(outputs) if is_order_0(group)]


def count_length_features(groups: Sequence[slice]) -> int:
    """Number of `length_features`."""
    return PATCH_SIZE + (PATCH_SIZE + MEANS) * len(groups)


def log_density(
    squared: Float[Tensor, "..."], noise: Float[Tensor, "..."], amplitude: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """Log-density of the squared length of five coefficients with Gaussian noise.

    Terms that depend on the length alone are omitted. The arguments are broadcast against each
    other. Over a sphere in five dimensions exp(z cos) has the mean 3 (z cosh z - sinh z) / z^3: the
    noncentral chi-squared distribution of five degrees of freedom in closed form.
    """
    z = squared.sqrt() * amplitude / noise
    difference = ((z - 1) + (z + 1) * (-2 * z).exp()).clamp_min(1e-20)
    large = (difference * 1.5).log() - 3 * z.clamp_min(1e-6).log()
    small = torch.log1p(z**2 / 10 + z**4 / 280) - z
    mean = torch.where(z > 0.5, large, small) + z
    return mean - (amplitude.square() + squared) / (2 * noise) - 2.5 * noise.log()


def is_order_0(group: slice) -> bool:
    """Return whether these are the places of an order 0, which has one coefficient."""
    return bool(group.stop - group.start == 1)


def coefficient_groups(counts: Sequence[int]) -> list[slice]:
    """Places of the coefficients of every order and shell."""
    ends = accumulate(counts)
    return [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
