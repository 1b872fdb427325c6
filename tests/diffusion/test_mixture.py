from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float
from scipy.spatial.distance import cdist
from scipy.stats import chi2, multivariate_normal

from bids_shresnet.diffusion.mixture import COVARIANCE_RIDGE, Mixture, fit_mixture

WEIGHTS = np.array([0.3, 0.7])
MEANS = np.array([[0.0, 10.0, -1.0], [8.0, -4.0, 2.0]])
ROOTS = np.array(
    [[[1.0, 0, 0], [0.5, 2, 0], [0, -0.3, 0.7]], [[0.4, 0, 0], [0.1, 0.9, 0], [0.3, 0.2, 1.5]]]
)
TRUTH = Mixture(WEIGHTS, MEANS, ROOTS @ ROOTS.transpose(0, 2, 1))
SINGLE = Mixture(np.ones(1), MEANS[1:], TRUTH.covariances[1:])


def draw(count: int, seed: int = 0) -> Float[np.ndarray, "count 3"]:
    rng = np.random.default_rng(seed)
    which = rng.choice(2, count, p=WEIGHTS)
    return np.asarray(
        MEANS[which] + np.einsum("vij,vj->vi", ROOTS[which], rng.standard_normal((count, 3)))
    )


def draw_single(count: int) -> Float[np.ndarray, "count 3"]:
    standard = np.random.default_rng(1).standard_normal((count, 3))
    return np.asarray(standard @ ROOTS[1].T + MEANS[1])


def test_density_is_the_weighted_sum_of_scipys_gaussians() -> None:
    values = draw(50)
    expected = sum(
        weight * multivariate_normal(mean, covariance).pdf(values)
        for weight, mean, covariance in zip(WEIGHTS, MEANS, TRUTH.covariances, strict=True)
    )
    np.testing.assert_allclose(np.exp(TRUTH.log_density(values)), expected, rtol=1e-9)


def test_distance_from_one_gaussian_is_that_of_mahalanobis() -> None:
    values = draw(50)
    expected = cdist(values, MEANS[1:], "mahalanobis", VI=np.linalg.inv(SINGLE.covariances[0]))[
        :, 0
    ]
    np.testing.assert_allclose(SINGLE.distance(values), expected, rtol=1e-6)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_distances_of_draws_from_a_fitted_gaussian_have_the_quantiles_of_chi(share: float) -> None:
    count = 4000
    distance = fit_mixture(draw_single(count), 1, seed=0).distance(draw_single(2 * count)[count:])
    within = (distance < np.sqrt(chi2.ppf(share, 3))).mean()
    assert within == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / count))


def test_one_component_is_the_mean_and_the_covariance_of_the_values_with_its_ridge() -> None:
    values = draw_single(200)
    fitted = fit_mixture(values, 1, seed=0)
    covariance = np.cov(values.T, bias=True)
    np.testing.assert_allclose(fitted.means[0], values.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(
        fitted.covariances[0],
        covariance + COVARIANCE_RIDGE * np.diag(np.diag(covariance)),
        rtol=1e-9,
    )


def test_two_gaussians_apart_are_found() -> None:
    fitted = fit_mixture(draw(5000), 2, seed=0)
    order = np.argsort(fitted.weights)
    np.testing.assert_allclose(fitted.weights[order], WEIGHTS, atol=0.02)
    np.testing.assert_allclose(fitted.means[order], MEANS, atol=0.2)
    np.testing.assert_allclose(fitted.covariances[order], TRUTH.covariances, atol=0.3)


def test_the_fitted_mixture_is_as_likely_as_the_true_one() -> None:
    values = draw(2000)
    gain = (fit_mixture(values, 2, seed=0).log_density(values) - TRUTH.log_density(values)).mean()
    assert -1e-3 < gain < 0.02  # 19 parameters gain about 19 / 2 in the sum


def test_units_of_the_values_do_not_matter() -> None:
    values = draw(500)
    units = np.array([1e-3, 1.0, 50.0])
    before = fit_mixture(values, 4, seed=0)
    after = fit_mixture(values * units + 7, 4, seed=0)
    np.testing.assert_allclose(
        after.distance(values * units + 7), before.distance(values), rtol=1e-5
    )


def test_same_seed_gives_the_same_mixture() -> None:
    first = fit_mixture(draw(500), 8, seed=3)
    second = fit_mixture(draw(500), 8, seed=3)
    for name in vars(first):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize("count", [2, 5, 20])
def test_few_values_and_a_feature_that_never_changes_are_fitted_too(count: int) -> None:
    values = np.column_stack([draw(count), np.ones(count)])
    assert np.isfinite(fit_mixture(values, 16, seed=0).distance(values)).all()
