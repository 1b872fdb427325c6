from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from bids_shresnet.network.amplitude import AmplitudeHead, Lengths
from bids_shresnet.network.amplitude_fit import (
    AMPLITUDE_GRID,
    deconvolve_amplitudes,
    fit_amplitude_head,
    fit_gain,
    mean_length,
)
from bids_shresnet.scans import Tissue
from tests.network.lengths import measured_lengths, unit_vectors

SHRINKAGE = 0.5
# Noise of one coefficient. Five of them are 0.034 and 0.067 long; the smallest amplitude is 0.05.
LOW_NOISE = 0.015
HIGH_NOISE = 0.03


@pytest.mark.parametrize("sigma", [0.005, 0.03])
def test_two_amplitudes_behind_noisy_lengths_are_found_with_their_shares(sigma: float) -> None:
    truth = np.where(np.arange(20_000) % 10 < 3, 0.08, 0.3)
    distribution = deconvolve_amplitudes(measured_lengths(truth, sigma), 0)
    for amplitude, share in ((0.08, 0.3), (0.3, 0.7)):
        is_near = np.abs(np.log(AMPLITUDE_GRID / amplitude)) < 0.4
        assert distribution[is_near].sum() == pytest.approx(share, abs=0.02)
    assert distribution.sum() == pytest.approx(1)


def test_the_mean_amplitude_is_found_although_noise_makes_lengths_too_long() -> None:
    truth = np.random.default_rng(0).uniform(0.02, 0.15, 20_000)
    lengths = measured_lengths(truth, 0.04)
    assert lengths.squared.sqrt().mean().item() > 1.2 * truth.mean()
    mean = (deconvolve_amplitudes(lengths, 0) * AMPLITUDE_GRID).sum()
    assert mean == pytest.approx(truth.mean(), rel=0.02)


def two_tissues() -> tuple[Float[np.ndarray, " v"], Integer[np.ndarray, " v"]]:
    """Amplitudes of white and grey matter and of voxels beside them, and their tissue."""
    rng = np.random.default_rng(5)
    tissue = rng.choice([Tissue.GM, Tissue.WM, 0], 60_000, p=[0.5, 0.3, 0.2])
    centre = np.array([0.09, 0.06, 0.22])[np.searchsorted([0, Tissue.GM, Tissue.WM], tissue)]
    return centre * np.exp(rng.normal(0, 0.25, len(tissue))), tissue


def grey_shares(tissue: Integer[np.ndarray, " v"], seed: int = 7) -> Float[np.ndarray, " v"]:
    """Probability of grey matter from a source that is right in most voxels."""
    rng = np.random.default_rng(seed)
    logit = (
        3 * rng.standard_normal(len(tissue)) + 2 * (tissue == Tissue.GM) - 2 * (tissue == Tissue.WM)
    )
    return np.asarray(1 / (1 + np.exp(-logit)))


@pytest.mark.parametrize(("grey", "white"), [(0.0, 0.0), (-0.3, 0.1), (0.2, -0.2)])
def test_the_inverse_of_two_gains_is_found(grey: float, white: float) -> None:
    truth, tissue = two_tissues()
    share = grey_shares(tissue)
    predicted = truth / np.exp(share * grey + (1 - share) * white)
    lengths = measured_lengths(truth, 0.02)
    found = fit_gain(predicted, share, lengths, tissue, 0)
    assert found == pytest.approx((grey, white), abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["weak predictions", "strong predictions", "one voxel in three"])
def test_gains_do_not_depend_on_how_many_voxels_of_which_kind_there_are(kept: str) -> None:
    """Voxels are excluded by what is predicted for them, which depends on the source alone."""
    truth, tissue = two_tissues()
    rng = np.random.default_rng(6)
    share = grey_shares(tissue)
    predicted = truth / np.exp(-0.2 * share + 0.1 * (1 - share))
    middle = np.median(predicted)
    is_kept = {
        "weak predictions": (predicted < middle) | (rng.random(len(truth)) < 0.3),
        "strong predictions": (predicted > middle) | (rng.random(len(truth)) < 0.3),
        "one voxel in three": rng.random(len(truth)) < 1 / 3,
    }[kept]
    lengths = measured_lengths(truth, 0.02)
    rows = np.flatnonzero(is_kept)
    some = Lengths(lengths.squared[rows], lengths.noise_variance[rows])
    gains = fit_gain(predicted, share, lengths, tissue, 0)
    thinned = fit_gain(predicted[rows], share[rows], some, tissue[rows], 0)
    assert thinned == pytest.approx(gains, abs=0.03)


@pytest.mark.parametrize("label", [0, Tissue.GM, Tissue.WM])
def test_without_one_of_the_tissues_the_mean_of_all_is_matched(label: int) -> None:
    truth, _ = two_tissues()
    lengths = measured_lengths(truth, 0.02)
    tissue = np.full(len(truth), label)
    grey, white = fit_gain(truth / 1.2, np.full(len(truth), 0.5), lengths, tissue, 0)
    assert grey == white == pytest.approx(np.log(1.2), abs=0.02)


def simulated(
    count: int, seed: int
) -> tuple[Float[Tensor, "v 27 n"], Float[Tensor, "v c"], Float[np.ndarray, " v"]]:
    """Patches as long as the truth, predictions half as long, and the true amplitudes."""
    rng = np.random.default_rng(seed)
    truth = rng.choice([0.05, 0.12, 0.3], count) * np.exp(rng.normal(0, 0.1, count))
    patches = rng.standard_normal((count, 27, 7)) * 0.01
    directions = unit_vectors(count * 27, seed).reshape(count, 27, 5)
    patches[:, :, 1:6] += truth[:, None, None] * directions
    predicted = np.zeros((count, 6))
    predicted[:, 1:] = SHRINKAGE * truth[:, None] * unit_vectors(count, seed)
    return torch.from_numpy(patches).float(), torch.from_numpy(predicted).float(), truth


def fit_head(sigma: float, seed: int) -> tuple[AmplitudeHead, float]:
    patches, predicted, truth = simulated(6000, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = AmplitudeHead((1, 5)).eval()
    with torch.no_grad():
        features = head.features(patches, predicted)
    tissue = np.digitize(truth, [0.08, 0.2])  # weak, middle and strong
    labels = np.array([Tissue.GM, 0, Tissue.WM])[tissue]
    lengths = measured_lengths(truth, sigma, seed=1)
    loss = fit_amplitude_head(head, features, lengths, labels, seed=seed)
    return head.eval(), loss


@cache
def calibrated(sigma: float) -> tuple[Float[np.ndarray, " v"], Float[np.ndarray, " v"]]:
    """Lengths of order 2 in held-out voxels, and the true ones."""
    head, _ = fit_head(sigma, seed=0)
    patches, predicted, truth = simulated(3000, 2)
    with torch.no_grad():
        return head(patches, predicted)[:, 1:].norm(dim=1).numpy(), truth


@pytest.mark.parametrize("sigma", [LOW_NOISE, HIGH_NOISE])
def test_a_fitted_head_gives_shrunk_predictions_the_amplitude_behind_the_noise(
    sigma: float,
) -> None:
    """The mean is right, although all predictions are half as long and all labels too long.

    The gains match the means of two tissues: the mean of all voxels must not drift from it.
    """
    lengths, truth = calibrated(sigma)
    assert lengths.mean() == pytest.approx(truth.mean(), rel=0.04)


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 0.08), (0.08, 0.2), (0.2, 1.0)], ids=["weak", "middle", "strong"]
)
def test_with_little_noise_every_amplitude_is_right_on_average(low: float, high: float) -> None:
    lengths, truth = calibrated(LOW_NOISE)
    inside = (truth > low) & (truth < high)
    assert lengths[inside].mean() == pytest.approx(truth[inside].mean(), rel=0.05)


@pytest.mark.slow
def test_the_seed_decides_the_fitted_head() -> None:
    head, loss = fit_head(LOW_NOISE, seed=1)
    same_head, same_loss = fit_head(LOW_NOISE, seed=1)
    other_head, _ = fit_head(LOW_NOISE, seed=2)
    weights = head.state_dict()
    assert loss == same_loss
    assert all(torch.equal(weights[name], same_head.state_dict()[name]) for name in weights)
    assert not torch.equal(weights["layers.0.weight"], other_head.state_dict()["layers.0.weight"])


@pytest.mark.parametrize("amplitude", [0.0, 0.02, 0.3])
def test_the_mean_length_is_that_of_noisy_vectors(amplitude: float) -> None:
    rng = np.random.default_rng(0)
    sigma = 0.03
    vectors = sigma * rng.standard_normal((200_000, 5))
    vectors[:, 0] += amplitude
    expected = np.linalg.norm(vectors, axis=1).mean()
    assert mean_length(np.array([amplitude]), np.array([sigma**2]))[0] == pytest.approx(
        expected, rel=5e-3
    )
