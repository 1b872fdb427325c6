"""Matched voxels that all have one signal, for tests."""

from __future__ import annotations

import numpy as np

from bids_shresnet.diffusion.harmonics import basis
from bids_shresnet.diffusion.tensors import fit_relative_tensor
from bids_shresnet.evaluation.quantities import Quantities
from bids_shresnet.pairs import MatchedVoxels
from bids_shresnet.scans import Tissue
from tests.datasets import spiral

VOXELS = 4000
DIRECTIONS = 30
COEFFICIENTS = (1.5, 0.1, -0.05, 0.2, 0.0, 0.1)  # of orders 0 and 2


def uniform_voxels(sigma: float = 0.0) -> tuple[MatchedVoxels, Quantities]:
    """White-matter voxels measured with Gaussian noise, and their noise-free quantities."""
    directions = spiral(DIRECTIONS)
    matrix = basis(directions, 2)
    signal = np.tile(np.array(COEFFICIENTS) @ matrix.T, (VOXELS, 1)).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 1, signal.shape).astype(np.float32)
    bvals = np.full(DIRECTIONS, 1000.0)
    matched = MatchedVoxels(
        patches=np.zeros((VOXELS, 27, 7), np.float16),
        signal=signal + sigma * noise,
        bvals=bvals,
        bvecs=directions,
        sh_matrix=matrix,
        noise_variance=np.full(VOXELS, sigma**2, np.float32),
        source_s0=np.ones(VOXELS, np.float32),
        points=np.zeros((VOXELS, 3)),
        tissue=np.full(VOXELS, Tissue.WM, np.uint8),
    )
    return matched, Quantities(signal, fit_relative_tensor(signal, bvals, directions))


def measured_quantities(matched: MatchedVoxels) -> Quantities:
    """Quantities of the measured signal."""
    fit = fit_relative_tensor(matched.signal, matched.bvals, matched.bvecs)
    return Quantities(matched.signal, fit)
