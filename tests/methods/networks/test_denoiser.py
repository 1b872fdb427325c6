from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bids_shresnet.diffusion.harmonics import evaluation_matrix
from bids_shresnet.diffusion.represent import represent_dwi
from bids_shresnet.diffusion.representation import unregularized_coefficients
from bids_shresnet.methods.networks.denoiser import Denoiser, fit_denoiser, load_denoiser
from bids_shresnet.scans import Shell
from bids_shresnet.settings import NetworkConfig
from tests.diffusion.heads import sphere
from tests.methods.heads import QUICK, SHELLS, error, head
from tests.methods.noisy_heads import DIRECTIONS, GRID, denoising_task, noisy_scan

SHORT = replace(QUICK, max_epochs=3)
NETWORK = NetworkConfig(resblocks=1, hidden=3)


@cache
def fitted() -> Denoiser:
    return fit_denoiser(denoising_task(network=NETWORK, training_config=SHORT)).harmonizer


@pytest.mark.slow
def test_noise_of_a_held_out_scan_is_removed_although_no_clean_scan_was_seen() -> None:
    scan = noisy_scan(5)
    image = head(5, GRID)
    truth = image.coefficients[image.mask]
    measured = unregularized_coefficients(represent_dwi(scan.dwi, scan.mask, SHELLS))
    denoised = fitted().denoise(scan.dwi, scan.mask, SHELLS)
    assert error(denoised[:, 1:], truth[:, 1:]) < 0.7 * error(measured[:, 1:], truth[:, 1:])
    assert denoised[:, 0].mean() == pytest.approx(truth[:, 0].mean(), rel=0.01)
    amplitudes = [np.linalg.norm(part[:, 1:], axis=1).mean() for part in (denoised, truth)]
    assert amplitudes[0] == pytest.approx(amplitudes[1], rel=0.1)


@pytest.mark.slow
def test_the_result_does_not_depend_on_which_half_is_which() -> None:
    """Flipping the sign of all directions changes no measurement."""
    scan = noisy_scan(5)
    denoised = fitted().denoise(scan.dwi, scan.mask, SHELLS)
    flipped = noisy_scan(5).dwi
    flipped.bvecs[:] *= -1
    np.testing.assert_allclose(
        fitted().denoise(flipped, scan.mask, SHELLS), denoised, rtol=1e-3, atol=1e-4
    )


@pytest.mark.slow
def test_orders_that_no_half_determines_are_zero_and_the_others_stay() -> None:
    scan = noisy_scan(5)
    low = fitted().denoise(scan.dwi, scan.mask, SHELLS)
    shells = (Shell(1000.0, 4),)
    high = fitted().denoise(scan.dwi, scan.mask, shells)
    np.testing.assert_array_equal(high[:, :6], low)
    assert not high[:, 6:].any()
    tables = [sphere(DIRECTIONS)]
    np.testing.assert_allclose(
        high @ evaluation_matrix(tables, shells).T, low @ evaluation_matrix(tables, SHELLS).T
    )


@pytest.mark.slow
def test_it_is_loaded_as_it_was_fitted() -> None:
    scan = noisy_scan(6)
    loaded = load_denoiser(fitted().arrays(), fitted().record())
    assert loaded.shells == SHELLS
    np.testing.assert_array_equal(
        loaded.denoise(scan.dwi, scan.mask, SHELLS), fitted().denoise(scan.dwi, scan.mask, SHELLS)
    )
