"""A mixture of Gaussians: what values are usual, and how far from the usual a value is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.cluster.vq import kmeans2
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

COVARIANCE_RIDGE = 1e-3  # of each feature's variance, on every covariance: a component cannot shrink onto a few values
LOG_LIKELIHOOD_TOLERANCE = (
    1e-3  # expectation maximization stops when the mean log likelihood gains less in a round
)
MAX_ITERATIONS = 100


@dataclass(frozen=True)
class Mixture:
    """Components of a mixture of Gaussians.

    Attributes
    ----------
    weights, means, covariances
        Of each component; the weights sum to 1.
    """

    weights: Float[np.ndarray, " k"]
    means: Float[np.ndarray, "k f"]
    covariances: Float[np.ndarray, "k f f"]

    def log_density(self, values: Float[np.ndarray, "v f"]) -> Float[np.ndarray, " v"]:
        """Natural logarithm of the density."""
        return np.asarray(logsumexp(self.log_joint(values), axis=1))

    def log_joint(self, values: Float[np.ndarray, "v f"]) -> Float[np.ndarray, "v k"]:
        """Logarithm of each component's share of the density."""
        out = np.empty((len(values), len(self.weights)))
        for column, (weight, mean, covariance) in enumerate(
            zip(self.weights, self.means, self.covariances, strict=True)
        ):
            root = np.linalg.cholesky(covariance)
            white = solve_triangular(root, (values - mean).T, lower=True)
            constant = (
                np.log(weight) - np.log(np.diag(root)).sum() - len(mean) / 2 * np.log(2 * np.pi)
            )
            out[:, column] = constant - np.square(white).sum(axis=0) / 2
        return out

    def distance(self, values: Float[np.ndarray, "v f"]) -> Float[np.ndarray, " v"]:
        """How unusual values are: sqrt(2 log(highest density / density)), in standard deviations.

        Of a single Gaussian this is Mahalanobis' distance. The highest density is taken over the components' means.
        """
        highest = self.log_density(self.means).max()
        return np.asarray(np.sqrt(np.maximum(2 * (highest - self.log_density(values)), 0)))


def fit_mixture(values: Float[np.ndarray, "v f"], components: int, *, seed: int) -> Mixture:
    """Expectation maximization (Dempster et al. 1977), begun at the clusters of k-means."""
    centre, spread = values.mean(axis=0), values.std(axis=0)
    scale = np.where(spread > 0, spread, 1)
    standard = ((values - centre) / scale).astype(np.float64)
    _, labels = kmeans2(
        standard, min(components, len(values)), minit="++", seed=np.random.default_rng(seed)
    )
    # a cluster that ran empty would become a component without values
    mixture = _maximize_likelihood(standard, np.eye(labels.max() + 1)[:, np.unique(labels)][labels])
    likelihood = -np.inf
    for _ in range(MAX_ITERATIONS):
        joint = mixture.log_joint(standard)
        total = logsumexp(joint, axis=1)
        if total.mean() - likelihood < LOG_LIKELIHOOD_TOLERANCE:
            break
        likelihood = total.mean()
        mixture = _maximize_likelihood(standard, np.exp(joint - total[:, None]))
    covariances = mixture.covariances * scale[:, None] * scale
    return Mixture(mixture.weights, mixture.means * scale + centre, covariances)


def _maximize_likelihood(
    values: Float[np.ndarray, "v f"], shares: Float[np.ndarray, "v k"]
) -> Mixture:
    """The mixture that is most likely if this much of each value belongs to each component."""
    sizes = shares.sum(axis=0) + 10 * np.finfo(np.float64).eps  # a component may die out
    means = shares.T @ values / sizes[:, None]
    ridge = COVARIANCE_RIDGE * np.eye(values.shape[1])
    covariances = [
        (share[:, None] * (values - mean)).T @ (values - mean) / size + ridge
        for share, mean, size in zip(shares.T, means, sizes, strict=True)
    ]
    return Mixture(sizes / sizes.sum(), means, np.stack(covariances))
