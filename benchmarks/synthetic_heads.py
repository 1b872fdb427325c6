"""Simulated travelling heads for benchmarks: as many voxels and channels as real ones."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter

from bids_shresnet.diffusion.harmonics import evaluation_matrix, l_values
from bids_shresnet.network.patches import CENTRE_INDEX, cut_patches, patches_to_rows
from bids_shresnet.pairs import MatchedVoxels, TravellingSubject, UnharmonizedData
from bids_shresnet.scans import Shell, ShImage

SHELLS = (Shell(1000.0, 4),)  # 15 coefficients; contrast is channel 16
ORDER_2 = slice(1, 6)  # coefficients
DIRECTIONS = 30
NOISE = 0.03  # standard deviation of S/S0
AMPLITUDES = {0: 0.4, 2: 0.12, 4: 0.03}  # standard deviation of the coefficients of each order
GAINS = {0: 1.05, 2: 0.85, 4: 0.7}  # target over source


def simulate_head(seed: int, voxels: int) -> ShImage:
    """Smooth coefficients in a ball of about so many voxels of 2 mm."""
    radius = (voxels * 3 / 4 / np.pi) ** (1 / 3)
    axis = np.arange(-np.ceil(radius) - 1, np.ceil(radius) + 2)
    mask = np.linalg.norm(np.stack(np.meshgrid(axis, axis, axis)), axis=0) <= radius
    white = np.random.default_rng(seed).standard_normal((*mask.shape, 16), dtype=np.float32)
    fields = gaussian_filter(white, (1, 1, 1, 0))
    fields /= fields.std()
    coefficients = fields[..., :15] * [AMPLITUDES[order] for order in l_values(4)]
    coefficients[..., 0] += 0.5 * np.sqrt(4 * np.pi)
    coefficients[~mask] = 0
    return ShImage(
        coefficients.astype(np.float32),
        mask,
        np.diag([2.0, 2.0, 2.0, 1.0]),
        SHELLS,
        (fields[..., 15] * mask / 3).astype(np.float32),
    )


def simulate_subject(seed: int, voxels: int) -> TravellingSubject:
    """Make a head whose target scales every order and measures with noise.

    The maps of the target are the length of order 2 and the mean signal; the source has none.
    """
    image = simulate_head(seed, voxels)
    indices = np.argwhere(image.mask)
    patches = cut_patches(torch.from_numpy(image.channels).float(), torch.from_numpy(indices))
    rows = patches_to_rows(patches).numpy()
    rng = np.random.default_rng([seed, 1])
    bvecs = rng.standard_normal((DIRECTIONS, 3))
    bvecs /= np.linalg.norm(bvecs, axis=1, keepdims=True)
    matched = _measure_target(rows, bvecs, rng)
    unharmonized = UnharmonizedData(
        source_coefficients=rows[:, CENTRE_INDEX, :15],
        source_maps=np.zeros((0, 0, 0, 2), np.float32),
        target_maps=_make_maps(rows),
        target_tensor_bvals=np.zeros(0),
    )
    return TravellingSubject(image, matched, unharmonized, image.coefficients[image.mask])


def _make_maps(rows: Float[np.ndarray, "v 27 n"]) -> Float[np.ndarray, "v 2"]:
    centre = rows[:, CENTRE_INDEX]
    lengths = np.linalg.norm(centre[:, ORDER_2], axis=1)
    return np.stack([lengths, centre[:, 0] / np.sqrt(4 * np.pi)], axis=1).astype(np.float32)


def _measure_target(
    rows: Float[np.ndarray, "v 27 n"], bvecs: Float[np.ndarray, "d 3"], rng: np.random.Generator
) -> MatchedVoxels:
    matrix = evaluation_matrix([bvecs], SHELLS).astype(np.float32)
    gains = np.array([GAINS[order] for order in l_values(4)], dtype=np.float32)
    signal = (rows[:, CENTRE_INDEX, :15] * gains) @ matrix.T
    noise = NOISE * rng.standard_normal(signal.shape, dtype=np.float32)
    count = len(rows)
    return MatchedVoxels(
        patches=rows.astype(np.float16),
        signal=(signal + noise).astype(np.float16),
        bvals=np.full(DIRECTIONS, 1000.0),
        bvecs=bvecs,
        sh_matrix=matrix,
        noise_variance=np.full(count, NOISE**2, np.float32),
        points=np.zeros((count, 3), np.float32),
        source_s0=np.ones(count, np.float32),
        tissue=np.ones(count, np.uint8),
    )
