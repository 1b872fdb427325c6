from __future__ import annotations

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from bids_shresnet.network.map_network import MapNetwork, build_map_network, fit_map_network
from bids_shresnet.network.patches import rows_to_patches
from tests.network.lengths import unit_vectors

COUNTS = (1, 5)
NOISE = np.array([0.05, 0.1e-3])  # of FA and MD


def simulated(count: int, seed: int) -> tuple[Float[Tensor, "v 27 n"], Float[Tensor, "v 2"]]:
    """Patches, and FA and MD that follow from the lengths of their orders in closed form."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(0.4, 0.8, count)
    amplitude = rng.uniform(0.02, 0.3, count)
    patches = np.zeros((count, 27, 7))
    patches[..., 0] = level[:, None]
    directions = unit_vectors(count * 27, seed).reshape(count, 27, 5)
    patches[..., 1:6] = amplitude[:, None, None] * directions
    maps = np.stack([amplitude / (amplitude + 0.1), -1e-3 * np.log(level)], axis=1)
    return torch.from_numpy(patches).float(), torch.from_numpy(maps).float()


def fit(seed: int) -> tuple[MapNetwork, float]:
    patches, maps = simulated(8000, 1)
    noise = NOISE * np.random.default_rng(2).standard_normal(maps.shape)
    network = build_map_network(COUNTS, seed=seed)
    labels = maps + torch.from_numpy(noise).float()
    loss = fit_map_network(network, network.features(patches), labels, seed=seed)
    return network.eval(), loss


def predict(network: MapNetwork, rows: Float[Tensor, "v 27 n"]) -> Float[np.ndarray, "v 2"]:
    with torch.no_grad():
        return np.asarray(network(rows_to_patches(rows)).numpy())


def test_maps_behind_noisy_labels_are_found_in_voxels_that_were_not_fitted() -> None:
    network, _ = fit(0)
    patches, maps = simulated(2000, 3)
    error = predict(network, patches) - maps.numpy()
    assert (np.abs(error.mean(axis=0)) < 0.1 * NOISE).all()
    assert (error.std(axis=0) < 0.5 * NOISE).all()


def test_turning_all_directions_changes_nothing() -> None:
    network, _ = fit(0)
    patches, _ = simulated(50, 3)
    turned = patches.clone()
    turned[..., 1:6] = patches[..., [2, 1, 5, 3, 4]]  # lengths are kept
    np.testing.assert_allclose(predict(network, turned), predict(network, patches), rtol=1e-4)


def test_the_loss_is_the_share_of_the_variance_that_is_noise() -> None:
    _, loss = fit(0)
    _, maps = simulated(8000, 1)
    expected = NOISE**2 / (maps.numpy().var(axis=0) + NOISE**2)
    assert loss == pytest.approx(expected.mean(), rel=0.15)


@pytest.mark.slow
def test_the_weights_depend_on_the_seed_only() -> None:
    patches, _ = simulated(20, 3)
    first = predict(fit(0)[0], patches)
    np.testing.assert_array_equal(predict(fit(0)[0], patches), first)
    assert not np.array_equal(predict(fit(1)[0], patches), first)


def test_maps_have_possible_values_far_from_the_training_data() -> None:
    network, _ = fit(0)
    patches = 50 * torch.randn((200, 27, 7), generator=torch.Generator().manual_seed(0))
    fa, md = predict(network, patches).T
    assert fa.min() >= 0
    assert fa.max() <= 1
    assert md.min() >= 0
