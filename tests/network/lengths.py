"""Measured lengths of known amplitudes."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from bids_shresnet.network.amplitude import Lengths


def unit_vectors(count: int, seed: int = 0) -> Float[np.ndarray, "v 5"]:
    """Random directions of five coefficients."""
    vectors = np.random.default_rng(seed).standard_normal((count, 5))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def measured_lengths(amplitudes: Float[np.ndarray, " v"], sigma: float, seed: int = 0) -> Lengths:
    """Squared lengths of five coefficients of these amplitudes, each with Gaussian noise."""
    count = len(amplitudes)
    noise = sigma * np.random.default_rng([seed, 1]).standard_normal((count, 5))
    coefficients = amplitudes[:, None] * unit_vectors(count, seed) + noise
    squared = np.square(coefficients).sum(1, keepdims=True)
    return Lengths(torch.from_numpy(squared).float(), torch.full((count, 1), sigma**2))
