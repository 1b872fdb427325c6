"""A mixture of Gaussians: the distribution of usual values, and the distance of a value from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp
from scipy.stats import Covariance, multivariate_normal

COVARIANCE_RIDGE = 1e-3  # in units of each feature's variance; keeps a component from collapsing
LOG_LIKELIHOOD_TOLERANCE = 1e-3  # smallest gain of the mean log-likelihood in an iteration
MAX_ITERATIONS = 100


@dataclass(frozen=True)
class Mixture:
    """Weights, means and covariances of the components. The weights sum to 1."""

    weights: Float[np.ndarray, " k"]
    means: Float[np.ndarray, "k f"]
    covariances: Float[np.ndarray, "k f f"]

    def log_density(self, values: Float[np.ndarray, "v f"]) -> Float[np.ndarray, " v"]:
        """Natural logarithm of the density."""
        parts = [
            np.log(weight) + _log_normal(values, mean, covariance)
            for weight, mean, covariance in zip(
                self.weights, self.means, self.covariances, strict=True
            )
        ]
        return np.asarray(logsumexp(parts, axis=0)).reshape(len(values))

    def distance(self, values: Float[np.ndarray, "v f"]) -> Float[np.ndarray, " v"]:
        """Distance from the usual values, sqrt(2 log(highest density / density)).

        It is in standard deviations: for a single Gaussian it is the Mahalanobis distance. The
        highest density is taken over the means of the components.
        """
        highest = self.log_density(self.means).max()
        return np.asarray(np.sqrt(np.maximum(2 * (highest - self.log_density(values)), 0)))


def fit_mixture(values: Float[np.ndarray, "v f"], components: int, *, seed: int) -> Mixture:
    """Fit a mixture to two or more values by expectation maximization, starting from k-means."""
    from sklearn.mixture import GaussianMixture  # loaded for training only
    from threadpoolctl import threadpool_limits

    centre = values.mean(axis=0)
    spread = values.std(axis=0)
    scale = np.where(spread > 0, spread, 1)
    standard = ((values - centre) / scale).astype(np.float64)
    model = GaussianMixture(
        min(components, len(np.unique(standard, axis=0))),
        tol=LOG_LIKELIHOOD_TOLERANCE,
        reg_covar=COVARIANCE_RIDGE,
        max_iter=MAX_ITERATIONS,
        random_state=seed,
    )
    with threadpool_limits(1, "openmp"):  # threads of k-means add up in the order they finish
        model.fit(standard)
    covariances = model.covariances_ * scale[:, None] * scale
    return Mixture(model.weights_, model.means_ * scale + centre, covariances)


def _log_normal(
    values: Float[np.ndarray, "v f"],
    mean: Float[np.ndarray, " f"],
    covariance: Float[np.ndarray, "f f"],
) -> Float[np.ndarray, "..."]:
    """Logarithm of a Gaussian's density; the Cholesky factor accepts features of unlike units."""
    root = Covariance.from_cholesky(np.linalg.cholesky(covariance))
    return np.asarray(multivariate_normal.logpdf(values, mean, root))
