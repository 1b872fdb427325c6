from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from bids_shresnet.methods.harmonizer import FitResult, FitTask
from bids_shresnet.methods.networks.calibration import average_log_ratios, calibrate_amplitudes
from bids_shresnet.methods.networks.shresnet import (
    ShresnetHarmonizer,
    fit_shresnet,
    init_skip_from_regression,
    load_shresnet,
    make_architecture,
    train_network,
)
from bids_shresnet.methods.regression import fit_ridge
from bids_shresnet.network.patches import cut_patches, rows_to_patches
from bids_shresnet.network.prediction import Predictor
from bids_shresnet.network.shresnet import build_shresnet
from bids_shresnet.network.training_loop import History, Samples
from bids_shresnet.scans import ShImage
from bids_shresnet.settings import NetworkConfig
from tests.methods.heads import (
    GAINS,
    ORDERS,
    PLAIN,
    QUICK,
    error,
    fit_task,
    head,
    mask_patches,
    scaled,
    travelling,
    with_power,
)

OURS = NetworkConfig(resblocks=1)
TWO_STAGES = replace(QUICK, schedule="two-stage")


def noisy_task(**changes: object) -> FitTask:
    """Two heads for training and one for validation, with noisy labels."""
    subjects = [travelling(head(1), 12, sigma=0.01), travelling(head(2), 9, sigma=0.01)]
    return fit_task(subjects, travelling(head(3), 10), **changes)


@pytest.fixture(scope="module")
def ours() -> FitResult[ShresnetHarmonizer]:
    return fit_shresnet(noisy_task(network=OURS))


@pytest.fixture(scope="module")
def papers() -> FitResult[ShresnetHarmonizer]:
    return fit_shresnet(noisy_task(network=PLAIN, training_config=TWO_STAGES))


@pytest.fixture(params=["ours", "papers"])
def fitted(request: pytest.FixtureRequest) -> FitResult[ShresnetHarmonizer]:
    result: FitResult[ShresnetHarmonizer] = request.getfixturevalue(request.param)
    return result


def truth(image: ShImage) -> np.ndarray:
    return scaled(mask_patches(image)[..., :6])


@pytest.mark.slow
@pytest.mark.parametrize("projected", [False, True])
def test_a_scanner_that_scales_each_order_is_undone_in_a_held_out_head(
    fitted: FitResult[ShresnetHarmonizer], projected: bool
) -> None:
    held_out = head(4)
    predicted = replace(fitted.harmonizer, is_projected=projected).predict(held_out)
    input_error = error(held_out.coefficients[held_out.mask], truth(held_out))
    assert error(predicted, truth(held_out)) < 0.25 * input_error


@pytest.mark.slow
def test_the_projection_keeps_the_orientation_of_every_order(
    fitted: FitResult[ShresnetHarmonizer],
) -> None:
    image = head(4)
    measured = image.coefficients[image.mask]
    projected = replace(fitted.harmonizer, is_projected=True).predict(image)
    for group in ORDERS:
        before = measured[:, group]
        after = projected[:, group]
        lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        np.testing.assert_allclose((before * after).sum(1), lengths, rtol=1e-4)


@pytest.mark.slow
def test_a_scan_is_predicted_voxel_by_voxel_with_network_and_head(
    fitted: FitResult[ShresnetHarmonizer],
) -> None:
    image = head(5)
    harmonizer = fitted.harmonizer
    rows = torch.from_numpy(mask_patches(image))
    patches = cut_patches(
        torch.from_numpy(image.channels), torch.from_numpy(np.argwhere(image.mask))
    )
    with torch.no_grad():
        expected = harmonizer.network(patches)
        assert torch.equal(rows_to_patches(rows), patches)
        if harmonizer.head is not None:
            expected = harmonizer.head(rows, expected)
    np.testing.assert_allclose(harmonizer.predict(image), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_change_of_the_scans_anisotropy_passes_although_the_network_does_not_see_it(
    ours: FitResult[ShresnetHarmonizer],
) -> None:
    head_only = ours.harmonizer
    assert head_only.head is not None
    training = [
        replace(subject, source=with_power(subject.source)) for subject in noisy_task().training
    ]
    task = fit_task(training, network=OURS)
    usual = average_log_ratios(head_only.predict, head_only.head.calibrated_slices, task)
    assert usual is not None
    harmonizer = replace(head_only, usual_log_ratios=usual)
    as_usual, lower = (harmonizer.predict(with_power(head(4), factor)) for factor in (1.0, 0.9))
    lengths = [np.linalg.norm(item[:, ORDERS[1]], axis=1).mean() for item in (as_usual, lower)]
    assert lengths[1] / lengths[0] == pytest.approx(0.9, abs=0.01)
    np.testing.assert_array_equal(as_usual[:, 0], lower[:, 0])
    with pytest.raises(AssertionError, match="power was not measured"):
        harmonizer.predict(head(4))
    uncalibrated = replace(harmonizer, is_calibrated=False).predict(with_power(head(4)))
    np.testing.assert_array_equal(
        uncalibrated, replace(head_only, is_calibrated=False).predict(head(4))
    )


@pytest.mark.slow
def test_a_network_is_fitted_with_the_usual_ratios_of_scans_of_known_power() -> None:
    task = noisy_task(network=OURS, training_config=replace(QUICK, max_epochs=1))
    known = [replace(subject, source=with_power(subject.source)) for subject in task.training]
    ratios = fit_shresnet(replace(task, training=known)).harmonizer.usual_log_ratios
    assert ratios is not None
    assert ratios.shape == (1, 2)
    assert np.abs(ratios[0, 1] + np.log(GAINS[1])) < 0.3  # the target's lengths are 0.6 of these
    assert fit_shresnet(task).harmonizer.usual_log_ratios is None


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1,), (2, 2), (1, 3)])
def test_ratios_that_do_not_fit_the_head_are_refused(
    shape: tuple[int, ...], ours: FitResult[ShresnetHarmonizer]
) -> None:
    arrays = {**ours.harmonizer.arrays(), "usual_log_ratios": np.zeros(shape)}
    with pytest.raises(ValueError, match="usual_log_ratios should be 1 x 2"):
        load_shresnet(arrays, ours.harmonizer.record())


@pytest.mark.slow
def test_the_usual_ratios_are_kept_with_the_weights(ours: FitResult[ShresnetHarmonizer]) -> None:
    ratios = np.array([[-0.5, -0.3]])
    harmonizer = replace(ours.harmonizer, usual_log_ratios=ratios)
    loaded = load_shresnet(harmonizer.arrays(), harmonizer.record())
    np.testing.assert_array_equal(loaded.usual_log_ratios, ratios)
    assert (
        load_shresnet(ours.harmonizer.arrays(), ours.harmonizer.record()).usual_log_ratios is None
    )


@pytest.mark.slow
def test_our_additions_to_the_paper_can_be_left_out(
    ours: FitResult[ShresnetHarmonizer], papers: FitResult[ShresnetHarmonizer]
) -> None:
    assert ours.harmonizer.head is not None
    assert ours.harmonizer.network.architecture.input_channels == 7
    assert ours.harmonizer.network.skip is not None
    assert papers.harmonizer.head is None
    assert papers.harmonizer.network.architecture.input_channels == 6
    assert papers.harmonizer.network.skip is None


@pytest.mark.parametrize("contrast", [True, False])
def test_with_a_skip_training_starts_at_the_linear_regression(contrast: bool) -> None:
    subjects = noisy_task().training
    network = build_shresnet(make_architecture((1, 5), replace(OURS, contrast=contrast)), seed=0)
    init_skip_from_regression(network, subjects)
    rows = torch.from_numpy(subjects[0].matched.patches).float()
    channels = network.architecture.input_channels
    weights, offset = fit_ridge(subjects, channels)
    expected = rows[..., :channels].flatten(1).numpy() @ weights + offset
    with torch.no_grad():
        np.testing.assert_allclose(network(rows_to_patches(rows)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("variance", [float("nan"), 0.0])
def test_without_an_estimate_of_the_noise_nothing_is_calibrated_and_the_notes_say_so(
    variance: float,
) -> None:
    subjects = [
        travelling(head(seed), 12, sigma=0.01, assumed_variance=variance) for seed in (1, 2)
    ]
    network = build_shresnet(make_architecture((1, 5), OURS), seed=0)
    amplitude_head, notes = calibrate_amplitudes(
        Predictor(network), fit_task(subjects, network=OURS)
    )
    assert amplitude_head is None
    assert "noise is not known" in notes["calibration"]


@pytest.mark.slow
def test_a_calibration_is_noted_with_its_gains(ours: FitResult[ShresnetHarmonizer]) -> None:
    assert ours.notes is not None
    assert ours.harmonizer.head is not None
    assert ours.notes["calibration"]["gain"] == ours.harmonizer.head.gain.tolist()


@pytest.mark.slow
def test_the_best_epoch_is_the_one_with_the_lowest_validation_loss(
    fitted: FitResult[ShresnetHarmonizer],
) -> None:
    losses = [epoch.loss for epoch in fitted.epochs]
    assert fitted.best_epoch == losses.index(min(losses))


@pytest.mark.slow
@pytest.mark.parametrize("network", [OURS, PLAIN], ids=["ours", "papers"])
def test_the_seed_decides_everything(network: NetworkConfig) -> None:
    short = replace(QUICK, max_epochs=2, voxels_per_epoch=200)
    task = noisy_task(network=network, training_config=short, seed=1)
    first = fit_shresnet(task)
    second = fit_shresnet(task)
    other = fit_shresnet(replace(task, seed=2))
    assert first.epochs == second.epochs
    arrays = first.harmonizer.arrays()
    same_arrays = second.harmonizer.arrays()
    other_arrays = other.harmonizer.arrays()
    assert arrays.keys() == same_arrays.keys() == other_arrays.keys()
    assert all(np.array_equal(value, same_arrays[name]) for name, value in arrays.items())
    assert not np.array_equal(arrays["network.final.weight"], other_arrays["network.final.weight"])


def test_each_epoch_draws_voxels_of_all_subjects_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Samples] = []

    def watch(_: object, draw: Callable[[int], Samples], *__: object, **___: object) -> History:
        drawn.extend(draw(epoch) for epoch in range(2))
        return History((), 0)

    monkeypatch.setattr("bids_shresnet.methods.networks.shresnet.fit_network", watch)
    train_network(build_shresnet(make_architecture((1, 5), PLAIN), seed=0), noisy_task())
    first, second = drawn
    assert len(first) == len(second) == QUICK.voxels_per_epoch
    assert set(first.subject_index.tolist()) == {0, 1}
    assert not torch.equal(first.patches, second.patches)


def test_training_is_watched_on_the_validation_subject_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched: list[Samples] = []

    def watch(_: object, __: object, validation: Samples, *___: object, **____: object) -> History:
        watched.append(validation)
        return History((), 0)

    monkeypatch.setattr("bids_shresnet.methods.networks.shresnet.fit_network", watch)
    task = noisy_task()
    train_network(build_shresnet(make_architecture((1, 5), PLAIN), seed=0), task)
    (validation,) = watched
    assert task.validation is not None
    stored = torch.from_numpy(np.array(task.validation.matched.patches)).half()
    rows = {row.numpy().tobytes() for row in stored}
    assert {row.numpy().tobytes() for row in validation.patches.half()} <= rows
    for subject in task.training:
        others = torch.from_numpy(np.array(subject.matched.patches)).half()
        assert rows.isdisjoint(row.numpy().tobytes() for row in others)


def test_a_unit_for_every_order_and_shell() -> None:
    outputs = (1, 5, 9, 1, 5)
    assert make_architecture(outputs, NetworkConfig()).outputs == outputs
    assert make_architecture(outputs, NetworkConfig()).hidden == 15
    assert make_architecture(outputs, NetworkConfig(resblocks=3, hidden=7)).hidden == 7


def test_a_unit_is_as_wide_inside_as_the_largest_shell() -> None:
    widths = [
        make_architecture(outputs, OURS).hidden
        for outputs in ((1, 5, 9), (1, 5, 9, 1, 5, 9), (1, 5, 1, 5, 9), (1,))
    ]
    assert widths == [15, 15, 15, 1]
    assert make_architecture((1, 5, 9, 1, 5, 9), replace(OURS, hidden=30)).hidden == 30
