from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from jaxtyping import Float

from bids_shresnet.methods import linear
from bids_shresnet.methods.linear import (
    ShProjection,
    fit_order_gain,
    fit_patch_linear,
    fit_sh_projection,
)
from bids_shresnet.methods.regression import fit_ridge
from bids_shresnet.network.patches import cut_patches, patches_to_rows
from tests.methods.heads import GAINS, error, fit_task, head, mask_patches, scaled, travelling

MAP = 0.3 * np.random.default_rng(5).standard_normal((27 * 6, 6)) / np.sqrt(27)
OFFSET = np.array([0.2, 0.1, 0.0, 0.0, -0.1, 0.05])


def mapped(patches: Float[np.ndarray, "v 27 c"]) -> Float[np.ndarray, "v c"]:
    """A target that mixes all neighbours and coefficients."""
    return np.asarray(patches.reshape(len(patches), -1) @ MAP + OFFSET)


def fitted_projection(target_bvalue: float) -> ShProjection:
    """The projection, fitted on a target with this b-value."""
    subject = travelling(head(1))
    bvals = np.full_like(subject.matched.bvals, target_bvalue)
    subject = replace(subject, matched=replace(subject.matched, bvals=bvals))
    return fit_sh_projection(fit_task([subject])).harmonizer


def test_the_projection_is_the_scan_itself() -> None:
    image = head(1)
    expected = image.coefficients[image.mask]
    np.testing.assert_array_equal(fitted_projection(1000.0).predict(image), expected)


@pytest.mark.parametrize("target_bvalue", [900.0, 1200.0])
def test_the_projection_has_the_signal_that_belongs_to_the_targets_b_value(
    target_bvalue: float,
) -> None:
    """The signal of isotropic diffusion is exp(-b D)."""
    image = head(1)
    diffusivity = np.linspace(0.5e-3, 1.5e-3, int(image.mask.sum()))
    coefficients = np.zeros_like(image.coefficients)
    coefficients[image.mask, 0] = np.sqrt(4 * np.pi) * np.exp(-1000 * diffusivity)
    predicted = fitted_projection(target_bvalue).predict(replace(image, coefficients=coefficients))
    expected = np.sqrt(4 * np.pi) * np.exp(-target_bvalue * diffusivity)
    np.testing.assert_allclose(predicted[:, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(predicted[:, 1:], 0, atol=1e-5)


@pytest.mark.parametrize(("sigma", "tolerance"), [(0.0, 0.002), (0.03, 0.03)])
def test_gains_of_the_orders_are_found(sigma: float, tolerance: float) -> None:
    """Noise in the labels does not bias a least-squares gain."""
    subjects = [travelling(head(seed), 12, sigma=sigma) for seed in (1, 2)]
    harmonizer = fit_order_gain(fit_task(subjects)).harmonizer
    np.testing.assert_allclose(harmonizer.gains, np.asarray(GAINS), rtol=tolerance)
    truth = scaled(mask_patches(head(3))[..., :6])
    np.testing.assert_allclose(harmonizer.predict(head(3)), truth, atol=0.03)


def test_a_constant_is_added_to_order_0_only() -> None:
    shift = np.array([0.3, 0.3, 0, 0, 0, 0])
    shifted = travelling(head(1), change=lambda patches: scaled(patches) + shift)
    harmonizer = fit_order_gain(fit_task([shifted])).harmonizer
    assert harmonizer.offset[0] == pytest.approx(0.3, abs=0.01)
    np.testing.assert_array_equal(harmonizer.offset[1:], 0)
    assert np.unique(harmonizer.gains[1:]).size == 1


def test_a_linear_map_of_the_patch_is_found_and_undone_in_a_held_out_head() -> None:
    subjects = [travelling(head(seed), change=mapped) for seed in (1, 2, 3)]
    harmonizer = fit_patch_linear(fit_task(subjects)).harmonizer
    held_out = head(4)
    truth = mapped(mask_patches(held_out)[..., :6])
    assert error(held_out.coefficients[held_out.mask], truth) > 0.1
    assert error(harmonizer.predict(held_out), truth) < 1e-4


@pytest.mark.parametrize("rows", [7, 100_000])
def test_a_voxel_is_its_cut_patch_times_the_weights(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "ROWS_PER_CHUNK", rows)
    subjects = [travelling(head(seed), sigma=0.02) for seed in (1, 2)]
    image = head(3)
    weights, offset = fit_ridge(subjects, 6)
    voxels = torch.from_numpy(np.argwhere(image.mask))
    patches = cut_patches(torch.from_numpy(image.coefficients), voxels)
    expected = patches_to_rows(patches).flatten(1).numpy() @ weights + offset
    harmonizer = fit_patch_linear(fit_task(subjects)).harmonizer
    np.testing.assert_allclose(harmonizer.predict(image), expected, rtol=1e-4, atol=1e-5)
