"""The error head: how far the target's signal may be from its prediction.

The error of a prediction is mostly what the patch does not tell, so it is learned from residuals:
a small network predicts the variance of the target's coefficients about the calibrated prediction,
for every order and shell. MD depends on order 0, and FA on order 2; their errors differ between
tissues. The noise of the labels is known and not part of the variance.

Source: heteroscedastic regression by the likelihood of a normal distribution (Nix and Weigend
1994), with a part of the variance given.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from bids_shresnet.network.amplitude import (
    coefficient_groups,
    count_head_features,
    head_features,
)
from bids_shresnet.network.minimize import minimize_loss

MIN_VARIANCE_SHARE = 1e-3  # of the mean; a prediction is never certain


class ErrorHead(nn.Module):
    """Predict the variance of a coefficient of every order and shell about its prediction.

    `outputs` and `input_counts` are the coefficients of each order and shell, as in
    `AmplitudeHead`.
    """

    centre: Tensor  # mean of the features
    scale: Tensor  # standard deviation of the features
    unit: Tensor  # mean variance of every order and shell

    def __init__(
        self, outputs: Sequence[int], hidden: int = 48, input_counts: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.output_groups = coefficient_groups(outputs)
        self.input_groups = coefficient_groups(input_counts or outputs)
        features = count_head_features(self.input_groups, self.output_groups)
        self.layers = nn.Sequential(
            nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, len(outputs))
        )
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("unit", torch.ones(len(outputs)))

    def features(
        self, patches: Float[Tensor, "v 27 n"], predicted: Float[Tensor, "v c"]
    ) -> Float[Tensor, "v f"]:
        """Contrast of S0, and lengths of all orders of the patch, its means and the prediction."""
        return head_features(patches, predicted, self.input_groups, self.output_groups)

    def variance(self, features: Float[Tensor, "v f"]) -> Float[Tensor, "v k"]:
        """Variance of a coefficient of each order and shell."""
        raw = self.layers((features - self.centre) / self.scale)
        return (softplus(raw) + MIN_VARIANCE_SHARE) * self.unit

    def forward(
        self, patches: Float[Tensor, "v 27 n"], predicted: Float[Tensor, "v c"]
    ) -> Float[Tensor, "v k"]:
        """Variance at patches and their predicted coefficients."""
        return self.variance(self.features(patches, predicted))


def fit_error_head(
    head: ErrorHead,
    features: Float[Tensor, "v f"],
    squared_error: Float[Tensor, "v k"],
    noise_variance: Float[Tensor, "v k"],
    *,
    seed: int,
) -> float:
    """Fit the head in place.

    Parameters
    ----------
    squared_error
        Squared difference of the target's measured coefficients and the prediction, mean over those
        of each order and shell.
    noise_variance
        Variance of the measurement's noise in them.

    Returns
    -------
    The loss of the last epoch.
    """
    head.centre = features.mean(0)
    head.scale = features.std(0).clamp_min(1e-6)
    excess = (squared_error - noise_variance).mean(0)
    counts = [group.stop - group.start for group in head.output_groups]
    weights = torch.tensor(counts, device=features.device) / sum(counts)
    head.unit = torch.maximum(excess, MIN_VARIANCE_SHARE * squared_error.mean(0))

    def batch_loss(features: Tensor, squared_error: Tensor, noise_variance: Tensor) -> Tensor:
        total = head.variance(features) + noise_variance
        losses: Tensor = (total.log() + squared_error / total) @ weights
        return losses.mean()

    tensors = (features, squared_error, noise_variance)
    return minimize_loss(head, batch_loss, tensors, seed=seed)
