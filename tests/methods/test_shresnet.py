from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bids_shresnet.methods.harmonizer import FitResult, FitTask
from bids_shresnet.methods.regression import fit_ridge
from bids_shresnet.methods.shresnet import (
    calibrate_amplitudes,
    fit_shresnet,
    init_skip_from_regression,
    make_architecture,
    train_network,
)
from bids_shresnet.network.patches import cut_patches, rows_to_patches
from bids_shresnet.network.shresnet import build_shresnet
from bids_shresnet.network.training_loop import History
from bids_shresnet.scans import ShImage
from bids_shresnet.settings import NetworkConfig
from tests.methods.heads import (
    ORDERS,
    PLAIN,
    QUICK,
    error,
    head,
    lesson,
    patches_of,
    scaled,
    travelling,
)

OURS = NetworkConfig(resblocks=1)
TWO_STAGES = replace(QUICK, schedule="two-stage")


def teaching(**changes: object) -> FitTask:
    """Two heads to learn from, a third to stop by, noisy labels."""
    subjects = [
        travelling(head(seed), directions, sigma=0.01) for seed, directions in ((1, 12), (2, 9))
    ]
    return lesson(subjects, travelling(head(3), 10), **changes)


@pytest.fixture(scope="module")
def ours() -> FitResult:
    return fit_shresnet(teaching(network=OURS))


@pytest.fixture(scope="module")
def papers() -> FitResult:
    return fit_shresnet(teaching(network=PLAIN, schedule=TWO_STAGES))


@pytest.fixture(params=["ours", "papers"])
def fitted(request: pytest.FixtureRequest) -> FitResult:
    return request.getfixturevalue(request.param)


def truth(image: ShImage) -> np.ndarray:
    return scaled(patches_of(image)[..., :6])


@pytest.mark.slow
@pytest.mark.parametrize("projected", [False, True])
def test_a_scanner_that_scales_each_order_is_undone_in_a_head_never_seen(
    fitted: FitResult, projected: bool
) -> None:
    unseen = head(4)
    found = replace(fitted.harmonizer, is_projected=projected).predict(unseen)
    before = error(unseen.coefficients[unseen.mask], truth(unseen))
    assert error(found, truth(unseen)) < 0.25 * before


def test_the_projection_keeps_the_orientation_of_every_order(fitted: FitResult) -> None:
    image = head(4)
    before, after = (
        image.coefficients[image.mask],
        replace(fitted.harmonizer, is_projected=True).predict(image),
    )
    for group in ORDERS:
        lengths = np.linalg.norm(before[:, group], axis=1) * np.linalg.norm(after[:, group], axis=1)
        np.testing.assert_allclose((before[:, group] * after[:, group]).sum(1), lengths, rtol=1e-4)


def test_a_scan_is_predicted_voxel_by_voxel_as_network_and_head_say(fitted: FitResult) -> None:
    image, found = head(5), fitted.harmonizer
    rows = torch.from_numpy(patches_of(image))
    patches = cut_patches(
        torch.from_numpy(image.channels), torch.from_numpy(np.argwhere(image.mask))
    )
    with torch.no_grad():
        expected = found.network(patches)
        assert torch.equal(rows_to_patches(rows), patches)
        if found.head is not None:
            expected = found.head(rows, expected)
    np.testing.assert_allclose(found.predict(image), expected, rtol=1e-4, atol=1e-5)


def test_what_is_ours_is_in_the_network_or_left_out_as_asked(
    ours: FitResult, papers: FitResult
) -> None:
    assert ours.harmonizer.head is not None
    assert ours.harmonizer.network.architecture.input_channels == 7
    assert ours.harmonizer.network.skip is not None
    assert papers.harmonizer.head is None
    assert papers.harmonizer.network.architecture.input_channels == 6
    assert papers.harmonizer.network.skip is None


@pytest.mark.parametrize("contrast", [True, False])
def test_with_a_skip_training_starts_at_the_linear_regression(contrast: bool) -> None:
    subjects = teaching().training
    network = build_shresnet(make_architecture((1, 5), replace(OURS, contrast=contrast)), seed=0)
    init_skip_from_regression(network, subjects)
    rows = torch.from_numpy(subjects[0].matched.patches).float()
    channels = network.architecture.input_channels
    weights, offset = fit_ridge(subjects, channels)
    expected = rows[..., :channels].flatten(1).numpy() @ weights + offset
    with torch.no_grad():
        np.testing.assert_allclose(network(rows_to_patches(rows)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("known", [float("nan"), 0.0])
def test_where_the_targets_noise_is_not_known_nothing_is_calibrated_and_that_is_said(
    known: float,
) -> None:
    subjects = [travelling(head(seed), 12, sigma=0.01, known=known) for seed in (1, 2)]
    network = build_shresnet(make_architecture((1, 5), OURS), seed=0)
    found, notes = calibrate_amplitudes(network.eval(), lesson(subjects, network=OURS))
    assert found is None
    assert "noise is not known" in notes["calibration"]


def test_a_calibration_is_noted_with_its_stretch(ours: FitResult) -> None:
    assert ours.notes is not None
    assert ours.harmonizer.head is not None
    assert ours.notes["calibration"]["stretch"] == ours.harmonizer.head.stretch.tolist()


def test_the_best_epoch_is_the_one_with_the_lowest_validation_loss(fitted: FitResult) -> None:
    losses = [epoch.validation_loss for epoch in fitted.epochs]
    assert fitted.best_epoch == losses.index(min(losses))


@pytest.mark.parametrize("network", [OURS, PLAIN], ids=["ours", "papers"])
def test_the_seed_decides_everything(network: NetworkConfig) -> None:
    short = replace(QUICK, max_epochs=2, voxels_per_epoch=200)
    one, same, other = (
        fit_shresnet(teaching(network=network, schedule=short, seed=seed)) for seed in (1, 1, 2)
    )
    assert one.epochs == same.epochs
    arrays, again, others = (found.harmonizer.arrays() for found in (one, same, other))
    assert arrays.keys() == again.keys() == others.keys()
    assert all(np.array_equal(value, again[name]) for name, value in arrays.items())
    assert not np.array_equal(arrays["network.final.weight"], others["network.final.weight"])


def test_each_epoch_draws_voxels_of_all_subjects_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def watch(_: object, draw: object, *__: object, **___: object) -> History:
        drawn.extend(draw(epoch) for epoch in range(2))
        return History((), 0)

    monkeypatch.setattr("bids_shresnet.methods.shresnet.fit_network", watch)
    train_network(build_shresnet(make_architecture((1, 5), PLAIN), seed=0), teaching())
    first, second = drawn
    assert len(first) == len(second) == QUICK.voxels_per_epoch
    assert set(first.subject_index.tolist()) == {0, 1}
    assert not torch.equal(first.patches, second.patches)


def test_a_unit_for_every_order_and_shell() -> None:
    outputs = (1, 5, 9, 1, 5)
    assert make_architecture(outputs, NetworkConfig()).outputs == outputs
    assert make_architecture(outputs, NetworkConfig()).hidden == 15
    assert make_architecture(outputs, NetworkConfig(resblocks=3, hidden=7)).hidden == 7


def test_inside_a_unit_is_as_wide_as_the_largest_shell_however_many_there_are() -> None:
    widths = [
        make_architecture(outputs, OURS).hidden
        for outputs in ((1, 5, 9), (1, 5, 9, 1, 5, 9), (1, 5, 1, 5, 9), (1,))
    ]
    assert widths == [15, 15, 15, 1]
    assert make_architecture((1, 5, 9, 1, 5, 9), replace(OURS, hidden=30)).hidden == 30
