from __future__ import annotations

import numpy as np
import pytest
import torch
from jaxtyping import Float

from bids_shresnet.methods import linear
from bids_shresnet.methods.linear import fit_order_gain, fit_patch_linear, fit_sh_projection
from bids_shresnet.methods.regression import fit_ridge
from bids_shresnet.network.patches import cut_patches, patches_to_rows
from tests.methods.heads import GAINS, error, head, lesson, patches_of, scaled, travelling

MAP = 0.3 * np.random.default_rng(5).standard_normal((27 * 6, 6)) / np.sqrt(27)
OFFSET = np.array([0.2, 0.1, 0.0, 0.0, -0.1, 0.05])


def mapped(patches: Float[np.ndarray, "v 27 c"]) -> Float[np.ndarray, "v c"]:
    """A target that mixes all neighbours and coefficients."""
    return np.asarray(patches.reshape(len(patches), -1) @ MAP + OFFSET)


def test_the_projection_is_the_scan_itself() -> None:
    image = head(1)
    found = fit_sh_projection(lesson([travelling(image)])).harmonizer.predict(image)
    np.testing.assert_array_equal(found, image.coefficients[image.mask])


@pytest.mark.parametrize("sigma", [0.0, 0.03])
def test_gains_of_the_orders_are_found(sigma: float) -> None:
    """Also with noise in the labels, which shrinks no least-squares gain."""
    found = fit_order_gain(
        lesson([travelling(head(seed), 12, sigma=sigma) for seed in (1, 2)])
    ).harmonizer
    np.testing.assert_allclose(found.gains, GAINS, rtol=0.002 if sigma == 0 else 0.03)
    np.testing.assert_allclose(
        found.predict(head(3)), scaled(patches_of(head(3))[..., :6]), atol=0.03
    )


def test_a_constant_is_added_to_order_0_alone() -> None:
    shift = np.array([0.3, 0.3, 0, 0, 0, 0])
    moved = travelling(head(1), change=lambda patches: scaled(patches) + shift)
    found = fit_order_gain(lesson([moved])).harmonizer
    assert found.offset[0] == pytest.approx(0.3, abs=0.01)
    np.testing.assert_array_equal(found.offset[1:], 0)
    assert np.unique(found.gains[1:]).size == 1


def test_a_linear_map_of_the_patch_is_found_and_undoes_itself_in_a_head_never_seen() -> None:
    subjects = [travelling(head(seed), change=mapped) for seed in (1, 2, 3)]
    found, unseen = fit_patch_linear(lesson(subjects)).harmonizer, head(4)
    truth = mapped(patches_of(unseen)[..., :6])
    assert error(unseen.coefficients[unseen.mask], truth) > 0.1
    assert error(found.predict(unseen), truth) < 1e-4


@pytest.mark.parametrize("rows", [7, 100_000])
def test_a_voxel_is_its_cut_patch_times_the_weights(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "ROWS_PER_CHUNK", rows)
    subjects, image = [travelling(head(seed), sigma=0.02) for seed in (1, 2)], head(3)
    weights, offset = fit_ridge(subjects, 6)
    patches = cut_patches(
        torch.from_numpy(image.coefficients), torch.from_numpy(np.argwhere(image.mask))
    )
    expected = patches_to_rows(patches).flatten(1).numpy() @ weights + offset
    found = fit_patch_linear(lesson(subjects)).harmonizer.predict(image)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
