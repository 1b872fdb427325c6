from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.gpu_checks import Check, compare_epochs, compare_predictions, count_differences
from bids_shresnet.methods.harmonizer import FitResult
from bids_shresnet.methods.networks.shresnet import ShresnetHarmonizer
from bids_shresnet.network.shresnet import Architecture, build_shresnet
from bids_shresnet.network.training_loop import Epoch
from tests.methods.heads import head

EPOCH = Epoch(0, "adam", 1e-3, 0.5, 0.25)


def fit_result(*epochs: Epoch) -> FitResult[ShresnetHarmonizer]:
    network = build_shresnet(Architecture((1, 5), resblocks=1, hidden=6), seed=0)
    return FitResult(ShresnetHarmonizer(network), epochs)


@pytest.mark.parametrize(
    ("difference", "has_passed"), [(0.0, True), (0.1, True), (0.11, False), (float("nan"), False)]
)
def test_a_check_passes_up_to_its_limit(difference: float, has_passed: bool) -> None:
    assert Check("a number", difference, 0.1).has_passed == has_passed


def test_the_largest_relative_difference_of_losses_is_found() -> None:
    other = replace(EPOCH, validation_loss=0.25 / 1.02)
    difference = compare_epochs(fit_result(EPOCH, EPOCH), fit_result(EPOCH, other))
    assert difference == pytest.approx(0.02)


def test_a_network_loaded_on_the_same_device_predicts_the_same() -> None:
    assert compare_predictions(fit_result(EPOCH), head(0), "cpu") == 0


def test_arrays_that_differ_in_one_bit_are_counted() -> None:
    values = np.array([1.0, -0.0])
    assert count_differences({"a": values, "b": values}, {"a": values, "b": values}) == 0
    assert count_differences({"a": values, "b": values}, {"a": np.abs(values), "b": values}) == 1
