from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float
from scipy import stats
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn.functional import normalize

from bids_shresnet.diffusion.harmonics import basis
from bids_shresnet.network.amplitude import (
    MAX_AMPLITUDE_GAIN,
    MAX_OWN_DIRECTION_SHARE,
    AmplitudeHead,
    log_density,
)
from bids_shresnet.network.patches import CENTRE_INDEX
from tests.datasets import spiral
from tests.network.lengths import measured_lengths

OUTPUTS = (1, 5, 9, 1, 5)  # two shells
ORDER_2_GROUPS = [slice(1, 6), slice(16, 21)]
OTHER_GROUPS = [slice(0, 1), slice(6, 15), slice(15, 16)]
AMPLITUDES = st.just(0.0) | st.floats(1e-9, 0.6)  # scipy overflows where squares underflow
NOISE = st.floats(0.01, 0.1)  # standard deviation


class FixedHead(AmplitudeHead):
    """A head whose distribution is given, whatever the features."""

    def __init__(self, median: Tensor, spread: Tensor, match_logit: Tensor) -> None:
        super().__init__((1, 5))
        self.fixed = (median, spread, match_logit)

    def distribution(self, features: Float[Tensor, "v f"]) -> tuple[Tensor, Tensor, Tensor]:
        return self.fixed


def make_head(outputs: tuple[int, ...] = OUTPUTS) -> AmplitudeHead:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AmplitudeHead(outputs).eval()


def random_patches(count: int = 50) -> tuple[Float[Tensor, "v 27 n"], Float[Tensor, "v c"]]:
    """Random patches and predictions for their centres."""
    generator = torch.Generator().manual_seed(1)
    patches = torch.randn(count, 27, 22, generator=generator)
    return patches, torch.randn(count, 21, generator=generator)


@given(
    length=st.floats(0.001, 0.8),
    amplitudes=st.tuples(AMPLITUDES, AMPLITUDES),
    sigmas=st.tuples(NOISE, NOISE),
)
def test_density_is_the_noncentral_chi_squared_one_of_five_degrees_of_freedom(
    length: float, amplitudes: tuple[float, float], sigmas: tuple[float, float]
) -> None:
    """Terms of the length alone are omitted, so differences are compared."""
    squared = torch.tensor(length**2, dtype=torch.float64)
    noise = np.square(sigmas)
    logpdf = stats.ncx2.logpdf(length**2 / noise, 5, np.square(amplitudes) / noise)
    expected = logpdf - np.log(noise)
    density = log_density(
        squared, torch.tensor(noise), torch.tensor(amplitudes, dtype=torch.float64)
    )
    difference = (density[0] - density[1]).item()
    assert difference == pytest.approx(expected[0] - expected[1], rel=1e-4, abs=1e-4)


@given(length=st.floats(0.001, 0.8), amplitude=AMPLITUDES, sigma=NOISE)
def test_single_precision_gives_the_same_density(
    length: float, amplitude: float, sigma: float
) -> None:
    squared, noise, double_amplitude = torch.tensor(
        [length**2, sigma**2, amplitude], dtype=torch.float64
    )
    expected = log_density(squared, noise, double_amplitude).item()
    density = log_density(squared.float(), noise.float(), double_amplitude.float()).item()
    assert density == pytest.approx(expected, rel=1e-4, abs=1e-2)


def test_orders_other_than_2_and_directions_stay_if_the_scan_has_no_direction() -> None:
    patches, predicted = random_patches()
    patches[:, CENTRE_INDEX] = 0
    with torch.no_grad():
        calibrated = make_head()(patches, predicted)
    for group in OTHER_GROUPS:
        assert torch.equal(calibrated[:, group], predicted[:, group])
    for group in ORDER_2_GROUPS:
        directions = normalize(predicted[:, group])
        torch.testing.assert_close(normalize(calibrated[:, group]), directions)
        assert not torch.allclose(calibrated[:, group], predicted[:, group], rtol=0.01)


@pytest.mark.parametrize("column", [0, 1])
def test_directions_turn_towards_the_scans_own_the_more_the_larger_the_amplitude(
    column: int,
) -> None:
    """The result lies in the plane of both directions; the share of the scan's own is limited."""
    head = make_head()
    patches, predicted = random_patches()
    group = ORDER_2_GROUPS[column]
    with torch.no_grad():
        calibrated = head(patches, predicted)[:, group]
    own = normalize(patches[:, CENTRE_INDEX, group])
    before = normalize(predicted[:, group])
    after = normalize(calibrated)
    plane = torch.stack([before, own], 2)
    weights = torch.linalg.lstsq(plane, after[..., None]).solution
    torch.testing.assert_close((plane @ weights)[..., 0], after, rtol=1e-4, atol=1e-5)
    share = weights[:, 1, 0] / weights[:, :, 0].sum(1)
    assert ((share > 0) & (share < MAX_OWN_DIRECTION_SHARE)).all()
    assert ((own * after).sum(1) > (own * before).sum(1)).all()
    ascending = calibrated.norm(dim=1).argsort()
    assert (share[ascending].diff() > -1e-4).all()


@pytest.mark.parametrize("column", [0, 1])
def test_a_large_amplitude_takes_the_largest_share_of_the_scans_own_direction(column: int) -> None:
    share = make_head().own_direction_share(column, torch.tensor([[1e6]])).item()
    assert share == pytest.approx(MAX_OWN_DIRECTION_SHARE, rel=1e-5)


def test_a_shell_that_the_source_lacks_has_no_direction_of_its_own() -> None:
    patches, predicted = random_patches()
    head = AmplitudeHead((1, 5), input_counts=OUTPUTS).eval()
    with torch.no_grad():
        calibrated = head(patches, predicted[:, :6])
    torch.testing.assert_close(normalize(calibrated[:, 1:6]), normalize(predicted[:, 1:6]))


def test_amplitudes_are_the_means_with_the_gain_of_their_tissue_up_to_the_largest() -> None:
    head = make_head()
    patches, predicted = random_patches()
    predicted[:10, ORDER_2_GROUPS[0]] *= 1e-3  # far below the calibrated amplitude
    head.gain = torch.tensor([[-0.3, 0.2], [0.1, -0.2]])
    with torch.no_grad():
        calibrated = head(patches, predicted)
        features = head.features(patches, predicted)
        means = head.mean_amplitudes(features)
        share = head.grey_share(features)[:, 0]
    for column, group in enumerate(ORDER_2_GROUPS):
        grey, white = head.gain[column]
        amplitudes = means[:, column] * (share * grey + (1 - share) * white).exp()
        limit = MAX_AMPLITUDE_GAIN * predicted[:, group].norm(dim=1)
        expected = torch.minimum(amplitudes, limit)
        torch.testing.assert_close(calibrated[:, group].norm(dim=1), expected)
    first = ORDER_2_GROUPS[0]
    gains = calibrated[:10, first].norm(dim=1) / predicted[:10, first].norm(dim=1)
    assert gains.max().item() == pytest.approx(MAX_AMPLITUDE_GAIN)


def test_a_change_of_anisotropy_does_not_change_the_gain() -> None:
    head = make_head()
    head.gain = torch.tensor([[-0.3, 0.2], [0.1, -0.2]])
    patches, predicted = random_patches()
    weak_patches = patches.clone()
    weak = predicted.clone()
    for group in head.output_groups:
        if group.stop - group.start > 1:
            weak_patches[..., group] *= 0.9
            weak[:, group] *= 0.9
    with torch.no_grad():
        gain = head.tissue_gain(head.features(patches, predicted))
        torch.testing.assert_close(head.tissue_gain(head.features(weak_patches, weak)), gain)
        brighter = patches + 0.1
        assert not torch.equal(head.tissue_gain(head.features(brighter, predicted)), gain)


def test_the_mean_amplitude_is_that_of_the_log_normal_distribution() -> None:
    spread = torch.tensor([[0.1], [0.3], [0.6]])
    head = FixedHead(torch.full((3, 1), 0.2), spread, spread)
    expected = stats.lognorm.mean(spread.numpy(), scale=0.2)
    np.testing.assert_allclose(head.mean_amplitudes(torch.zeros(3, 1)), expected, rtol=1e-5)


def rotate(
    coefficients: Float[Tensor, "*v c"], rotation: Float[np.ndarray, "3 3"]
) -> Float[Tensor, "*v c"]:
    """Rotate functions of direction: evaluate them in directions rotated back, and fit again."""
    rotated = coefficients.clone()
    for start, order in ((0, 4), (15, 2)):
        values = basis(spiral(60) @ rotation, order)
        change = torch.from_numpy(np.linalg.pinv(basis(spiral(60), order)) @ values).float()
        shell = slice(start, start + len(change))
        rotated[..., shell] = coefficients[..., shell] @ change.T
    return rotated


@pytest.mark.parametrize("angles", [(30, 0, 0), (10, -50, 130)])
def test_a_rotated_head_gets_the_same_amplitudes(angles: tuple[float, float, float]) -> None:
    rotation = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    head = make_head()
    patches, predicted = random_patches()
    with torch.no_grad():
        before = head(patches, predicted)
        after = head(rotate(patches, rotation), rotate(predicted, rotation))
    torch.testing.assert_close(after, rotate(before, rotation), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(after, before, rtol=0.01)


def test_order_2_of_every_shell_is_calibrated_and_no_other() -> None:
    assert make_head((1, 9, 5)).calibrated_groups == [2]
    assert make_head(OUTPUTS).calibrated_groups == [1, 4]


@settings(max_examples=20)
@given(match_logit=st.floats(-4, 4), log_median=st.floats(-2, -1.2), spread=st.floats(0.02, 0.15))
def test_the_loss_is_the_likelihood_of_a_mixture_of_this_voxel_and_of_any(
    match_logit: float, log_median: float, spread: float
) -> None:
    """A fine sum replaces the five nodes, which suffice for a spread no larger than the noise."""
    median = float(np.exp(log_median))
    head = FixedHead(*(torch.full((3, 1), value) for value in (median, spread, match_logit)))
    head.population = torch.linspace(0.05, 0.4, 8)[None]
    lengths = measured_lengths(np.full(3, 0.2), 0.03)
    z = np.linspace(-6, 6, 2001)
    weights = torch.from_numpy(stats.norm.pdf(z) * (z[1] - z[0]))
    amplitudes = torch.from_numpy(median * np.exp(spread * z))
    squared = lengths.squared.double()
    noise = lengths.noise_variance.double()
    matching = (log_density(squared, noise, amplitudes).exp() * weights).sum(1)
    other = log_density(squared, noise, head.population.double()).exp().mean(1)
    share = 1 / (1 + np.exp(-match_logit))
    expected = -(share * matching + (1 - share) * other).log().mean().item()
    loss = head.loss(torch.zeros(3, 1), lengths, head.population_likelihood(lengths))
    assert loss.item() == pytest.approx(expected, abs=0.01)
