from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from bids_shresnet.config import NetworkConfig, TrainingConfig
from bids_shresnet.diffusion.harmonics import basis, stacked_orders
from bids_shresnet.methods.shresnet import apply, architecture_for, fit_network
from bids_shresnet.network.fitting import History, Samples
from bids_shresnet.network.patches import OFFSETS, cut
from bids_shresnet.network.shresnet import SHResNet, build
from bids_shresnet.scans import Matched, Shell, ShImage
from tests.datasets import spiral

SHELLS = (Shell(1000.0, 2),)
ORDERS = stacked_orders(SHELLS)
GAINS = np.array([1.1] + [0.6] * 5, dtype=np.float32)  # of the target over the source: order 0, order 2
GRID = (10, 10, 10)
QUICK = TrainingConfig(voxels_per_epoch=1000, max_epochs=12, adam_epochs=12, adam_batch=32, adam_learning_rate=5e-3)


def head(seed: int) -> ShImage:
    """Smooth coefficients about an isotropic signal of 0.5, in a mask that is a little smaller than the grid."""
    noise = np.random.default_rng(seed).standard_normal((*GRID, 6))
    smooth = gaussian_filter(noise, (1, 1, 1, 0))
    coefficients = 0.2 * smooth / smooth.std()
    coefficients[..., 0] += 0.5 * np.sqrt(4 * np.pi)
    mask = np.zeros(GRID, dtype=bool)
    mask[1:-1, 1:-1, 1:-1] = True
    coefficients[~mask] = 0
    return ShImage(coefficients.astype(np.float32), mask, np.eye(4), SHELLS)


def seen_on_both(image: ShImage, directions: int) -> Matched:
    """What a travelling subject teaches if the target scanner does nothing but scale the orders."""
    voxels = np.argwhere(image.mask)
    around = np.pad(image.coefficients, ((1, 1), (1, 1), (1, 1), (0, 0)))
    i, j, k = np.moveaxis(voxels[:, None] + OFFSETS.numpy() + 1, -1, 0)
    matrix = basis(spiral(directions), 2)
    signal = (image.coefficients[image.mask] * GAINS) @ matrix.T
    return Matched(
        patches=around[i, j, k].astype(np.float16),
        signal=signal.astype(np.float16),
        matrix=matrix.astype(np.float32),
        tissue=np.ones(len(voxels), dtype=np.uint8),
    )


def error(image: ShImage, truth: ShImage) -> float:
    """Normalized squared error inside the mask."""
    got, wanted = image.coefficients[image.mask], truth.coefficients[truth.mask] * GAINS
    return float(((got - wanted) ** 2).sum() / (wanted**2).sum())


@pytest.fixture(scope="module")
def fitted() -> SHResNet:
    subjects = [seen_on_both(head(seed), directions) for seed, directions in ((1, 12), (2, 9))]
    network, _ = fit_network(
        subjects, seen_on_both(head(3), 10), architecture_for(SHELLS, NetworkConfig(1)), QUICK, seed=0
    )
    return network.eval()


@pytest.mark.parametrize("rish_projection", [False, True])
def test_a_scanner_that_scales_each_order_is_undone_in_a_head_never_seen(
    fitted: SHResNet, rish_projection: bool
) -> None:
    unseen = head(4)
    found = apply([fitted], unseen, rish_projection=rish_projection)
    assert error(found.image, unseen) < 0.25 * error(unseen, unseen)


def test_the_projection_keeps_the_orientation_of_every_order(fitted: SHResNet) -> None:
    image = head(4)
    found = apply([fitted], image, rish_projection=True)
    before, after = image.coefficients[image.mask], found.image.coefficients[image.mask]
    for group in ORDERS:
        lengths = np.linalg.norm(before[:, group], axis=1) * np.linalg.norm(after[:, group], axis=1)
        np.testing.assert_allclose((before[:, group] * after[:, group]).sum(1), lengths, rtol=1e-4)


def test_without_the_projection_the_mean_of_the_networks_is_taken(fitted: SHResNet) -> None:
    image, networks = head(5), [fitted, build(fitted.architecture, seed=9)]
    found = apply(networks, image, rish_projection=False)
    patches = cut(torch.from_numpy(image.coefficients), torch.from_numpy(np.argwhere(image.mask)))
    with torch.no_grad():
        expected = (networks[0](patches) + networks[1](patches)) / 2
    np.testing.assert_allclose(found.image.coefficients[image.mask], expected, rtol=1e-4, atol=1e-5)
    assert not found.image.coefficients[~image.mask].any()
    assert found.guarded == 0


def fit_once(subjects: list[Matched], validation: Matched, seed: int) -> tuple[dict[str, torch.Tensor], list[float]]:
    config = replace(QUICK, max_epochs=2, voxels_per_epoch=200)
    network, history = fit_network(subjects, validation, architecture_for(SHELLS, NetworkConfig(1)), config, seed=seed)
    return network.state_dict(), [epoch.validation_loss for epoch in history.epochs]


def test_the_seed_decides_everything() -> None:
    subjects, validation = [seen_on_both(head(seed), 8) for seed in (1, 2)], seen_on_both(head(3), 8)
    (one, losses), (same, same_losses), (other, _) = (fit_once(subjects, validation, seed) for seed in (1, 1, 2))
    assert losses == same_losses
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["final.weight"], other["final.weight"])


def test_all_voxels_are_drawn_before_any_is_drawn_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A voxel carries its number in its signal, so that an epoch's draw can be read from what is fitted."""
    drawn: list[list[float]] = []

    def watch(_: SHResNet, draw: Callable[[int], Samples], *__: object, **___: object) -> History:
        drawn.extend(sorted(draw(epoch).signal[:, 0].tolist()) for epoch in range(2))
        return History((), 0)

    subjects = [numbered(0, 30), numbered(30, 50)]
    monkeypatch.setattr("bids_shresnet.methods.shresnet.fit", watch)
    config = replace(QUICK, voxels_per_epoch=60)
    fit_network(subjects, numbered(0, 5), architecture_for(SHELLS, NetworkConfig(1)), config, seed=0)
    assert all(len(set(epoch)) == 60 for epoch in drawn)
    assert all(set(epoch) < set(range(80)) for epoch in drawn)
    assert drawn[0] != drawn[1]


def numbered(start: int, count: int) -> Matched:
    """Voxels whose signal is their number."""
    signal = np.arange(start, start + count, dtype=np.float16)[:, None].repeat(6, axis=1)
    patches = np.zeros((count, 27, 6), dtype=np.float16)
    return Matched(patches, signal, np.ones((6, 6), dtype=np.float32), np.ones(count, dtype=np.uint8))


def test_a_unit_for_every_order_and_shell() -> None:
    two = (Shell(1000.0, 4), Shell(2000.0, 2))
    assert architecture_for(two, NetworkConfig()).outputs == (1, 5, 9, 1, 5)
    assert architecture_for(two, NetworkConfig()).hidden == 21
    assert architecture_for(two, NetworkConfig(resblocks=3, hidden=7)).hidden == 7
