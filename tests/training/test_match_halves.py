from __future__ import annotations

import numpy as np
import pytest

from bids_shresnet.diffusion.harmonics import basis
from bids_shresnet.diffusion.represent import represent_dwi
from bids_shresnet.inputs.load_scan import LoadedScan, add_mask_and_s0
from bids_shresnet.network.patches import CENTRE_INDEX
from bids_shresnet.pairs import MatchedVoxels
from bids_shresnet.scans import Shell
from bids_shresnet.training import match_halves
from tests.diffusion.heads import make_dwi, sphere

GRID = (9, 8, 7)
SHELL = Shell(1000.0, 4)
HALF_SHELL = Shell(1000.0, 2)
SIGMA = 0.03
TISSUE = np.random.default_rng(4).integers(0, 4, GRID)


def noisy_scan(sigma: float) -> tuple[LoadedScan, np.ndarray]:
    """A scan of order 2 with 24 directions and noise, and its signal without noise."""
    rng = np.random.default_rng(3)
    coefficients = 0.05 * rng.standard_normal((*GRID, 6))
    coefficients[..., 0] += 0.5 * np.sqrt(4 * np.pi)
    signal = coefficients @ basis(sphere(24), 2).T
    noise = sigma * rng.standard_normal(signal.shape)
    dwi = make_dwi(signal + noise, np.full(24, 1000.0), sphere(24))
    mask = np.zeros(GRID, dtype=bool)
    mask[1:-1, 1:-1, 1:-1] = True
    return add_mask_and_s0(dwi, mask), coefficients


def matches(sigma: float) -> tuple[LoadedScan, np.ndarray, tuple[MatchedVoxels, ...]]:
    loaded, truth = noisy_scan(sigma)
    representation = represent_dwi(loaded.dwi, loaded.mask, (SHELL,))
    variance = representation.noise_variance
    found = match_halves.match_halves(loaded, variance, TISSUE, (HALF_SHELL,))
    return loaded, truth, found


def voxels(loaded: LoadedScan, match: MatchedVoxels) -> tuple[np.ndarray, ...]:
    """Indices of the matched voxels: the affine is the identity."""
    return tuple(np.rint(match.points).astype(int).T)


def test_labels_are_the_measured_signal_of_the_other_half() -> None:
    loaded, _, found = matches(SIGMA)
    for match in found:
        index = voxels(loaded, match)
        own = [int(np.abs(loaded.dwi.bvecs @ bvec).argmax()) for bvec in match.bvecs]
        relative = loaded.dwi.data[index][:, own] / loaded.s0[index][:, None]
        np.testing.assert_allclose(match.signal, relative, atol=1e-3)
        np.testing.assert_allclose(match.sh_matrix, basis(match.bvecs, 2), atol=1e-6)
        np.testing.assert_array_equal(match.tissue, TISSUE[index])
    first, second = found
    assert not (np.abs(first.bvecs @ second.bvecs.T) > 1 - 1e-6).any()
    assert len(first.bvecs) + len(second.bvecs) == 24


def test_noise_of_patches_and_labels_is_independent() -> None:
    """Without noise, both are the same signal. What noise adds to one says nothing of the other."""
    loaded, truth, found = matches(SIGMA)
    for match in found:
        centre = match.patches[:, CENTRE_INDEX, :6].astype(float)
        clean = truth[voxels(loaded, match)]
        label = match.signal.astype(float) @ np.linalg.pinv(match.sh_matrix).T
        patch_noise = (centre - clean)[:, 1:]
        label_noise = (label - clean)[:, 1:]
        correlation = np.corrcoef(patch_noise.ravel(), label_noise.ravel())[0, 1]
        assert patch_noise.std() > 0.2 * SIGMA
        assert abs(correlation) < 0.1


def test_patches_are_zero_outside_the_mask_as_when_a_network_is_applied() -> None:
    loaded, _, found = matches(0.0)
    corner = np.flatnonzero((found[0].points == 1).all(axis=1))
    patch = found[0].patches[corner[0]].reshape(3, 3, 3, -1)
    assert not patch[0].any()
    assert not patch[:, 0].any()
    assert patch[1:, 1:, 1:, 0].all()
    assert loaded.mask[1, 1, 1]


def test_the_noise_is_that_of_one_measured_value() -> None:
    _, _, found = matches(SIGMA)
    for match in found:
        assert np.sqrt(match.noise_variance.mean()) == pytest.approx(SIGMA, rel=0.1)


def test_denoised_patches_are_those_of_the_same_half() -> None:
    """Without noise, they are the patches."""
    for sigma in (0.0, SIGMA):
        for match in matches(sigma)[2]:
            assert match.denoised_patches is not None
            patches = match.patches[..., :6].astype(float)
            changes = np.abs(match.denoised_patches - patches).mean(axis=(0, 1))
            assert changes[0] == 0
            assert (changes[1:].min() > 0.1 * SIGMA) == (sigma > 0)
            assert changes.max() < 1e-4 or sigma > 0


def test_voxels_are_drawn_from_the_mask_without_repetition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(match_halves, "MAX_VOXELS", 20)
    loaded, _, found = matches(SIGMA)
    for match in found:
        assert len(np.unique(match.points, axis=0)) == len(match.tissue) == 20
        assert loaded.mask[voxels(loaded, match)].all()


def test_there_are_no_matches_without_shells_for_halves() -> None:
    loaded, _ = noisy_scan(SIGMA)
    variance = np.zeros(loaded.mask.sum())
    assert match_halves.match_halves(loaded, variance, TISSUE, ()) == ()
