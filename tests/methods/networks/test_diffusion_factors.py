from __future__ import annotations

import numpy as np
import pytest
import torch

from bids_shresnet.diffusion.harmonics import fitting_matrix, order_indices
from bids_shresnet.diffusion.tensor_changes import change_tensors
from bids_shresnet.methods.networks.diffusion_factors import (
    FA_SPREAD,
    MD_SPREAD,
    DiffusionFactors,
)
from bids_shresnet.scans import Shell
from tests.datasets import spiral

SHELLS = (Shell(1000.0, 4, 60), Shell(2000.0, 4, 60))
GROUPS = [slice(int(index[0]), int(index[-1]) + 1) for index in order_indices(SHELLS)]
DIRECTIONS = spiral(60)


def draw_patches(count: int, channels: int = 31) -> torch.Tensor:
    return torch.rand(count, 27, channels, generator=torch.Generator().manual_seed(0))


def fit_coefficients(tensors: np.ndarray) -> np.ndarray:
    """Coefficients of the signals of tensors (mm2/s) in both shells."""
    diffusivities = np.einsum("ni,vij,nj->vn", DIRECTIONS, tensors, DIRECTIONS)
    fit = fitting_matrix(DIRECTIONS, 4, smoothing=0.0)
    return np.concatenate(
        [np.exp(-shell.bvalue * diffusivities) @ fit.T for shell in SHELLS], axis=1
    )


def draw_tensors(count: int) -> np.ndarray:
    """Tensors of FA 0.1 to 0.2 and MD 0.5 to 1 um2/ms."""
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.standard_normal((count, 3, 3)))[0]
    values = rng.uniform(0.5e-3, 1e-3, (count, 1)) * np.array([1.18, 0.95, 0.87])
    return np.asarray(axes * values[:, None] @ np.swapaxes(axes, 1, 2))


@pytest.mark.parametrize(("fa", "md"), [(0.8, 1.0), (1.0, 1.15), (0.9, 0.85)])
def test_coefficients_become_those_of_the_tensor_with_this_fa_and_md(fa: float, md: float) -> None:
    tensors = draw_tensors(20)
    before = fit_coefficients(tensors)
    expected = fit_coefficients(change_tensors(tensors, np.full(20, fa), np.full(20, md)))
    factors = DiffusionFactors(torch.full((20,), fa), torch.full((20,), md))
    patches = torch.from_numpy(before).float()[:, None]
    changed = factors.change_patches(patches, patches, GROUPS)[:, 0].numpy()
    for group in GROUPS:
        if group.stop - group.start <= 5:  # order 4 is a thousandth of these
            error = np.linalg.norm(changed[:, group] - expected[:, group], axis=1)
            length = np.linalg.norm(expected[:, group], axis=1)
            assert (error < 0.04 * length).all()


def test_channels_after_the_coefficients_stay() -> None:
    patches = draw_patches(4)
    factors = DiffusionFactors(torch.full((4,), 0.5), torch.full((4,), 1.5))
    changed = factors.change_patches(patches, patches[..., :30], GROUPS)
    assert torch.equal(changed[..., 30], patches[..., 30])
    assert not torch.isclose(changed[..., :30], patches[..., :30]).any()


def test_what_is_noise_stays_as_it_is() -> None:
    """Patches with and without noise change by the same."""
    noisy = draw_patches(4)
    clean = noisy[..., :30] ** 2
    factors = DiffusionFactors(torch.full((4,), 0.5), torch.full((4,), 1.5))
    changes = [factors.change_patches(item, clean, GROUPS) - item for item in (clean, noisy)]
    torch.testing.assert_close(changes[0], changes[1][..., :30])


def test_each_sample_has_factors_of_its_own_in_all_its_voxels() -> None:
    patches = draw_patches(5)
    factors = DiffusionFactors.draw(5, np.random.default_rng(1))
    changed = factors.change_patches(patches, patches[..., :30], GROUPS)
    for start, chunk in enumerate(factors.split(1)):
        own = patches[start : start + 1]
        alone = chunk.change_patches(own, own[..., :30], GROUPS)
        torch.testing.assert_close(alone[0], changed[start])


def test_factors_of_fa_and_md_are_independent_and_log_normal() -> None:
    factors = DiffusionFactors.draw(20_000, np.random.default_rng(1))
    logarithms = torch.stack([factors.fa, factors.md]).log().numpy()
    expected = np.diag([FA_SPREAD**2, MD_SPREAD**2])
    np.testing.assert_allclose(np.cov(logarithms), expected, atol=3e-3)
    np.testing.assert_allclose(logarithms.mean(axis=1), 0, atol=0.01)
