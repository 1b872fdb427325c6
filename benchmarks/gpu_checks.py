"""Checks that networks on a device give the CPU's results, and the same results every time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import torch

from benchmarks.gpu_tasks import make_network
from benchmarks.stacked_folds import compare_losses
from bids_shresnet.methods.golkov import fit_golkov
from bids_shresnet.methods.harmonizer import Arrays, FitResult, FitTask
from bids_shresnet.methods.shresnet import (
    ShresnetHarmonizer,
    calibrate_amplitudes,
    fit_shresnet,
    load_shresnet,
)
from bids_shresnet.network.schedules import TrainingState
from bids_shresnet.scans import ShImage


@dataclass(frozen=True)
class Check:
    """A difference, and the largest that is accepted.

    Differences of numbers are relative. Those of arrays count the ones that differ in any bit.
    """

    name: str
    difference: float
    limit: float

    @property
    def has_passed(self) -> bool:
        """True if the difference is a number within the limit."""
        return self.difference <= self.limit


def run_checks(cpu_task: FitTask, image: ShImage, device: str) -> list[Check]:
    """Fit a fold on the CPU and several times on the device, predict a scan, and compare.

    Losses differ more than predictions: every step of training builds on the rounding of the last.
    """
    task = replace(cpu_task, device=device)
    reference = fit_shresnet(cpu_task)
    fitted = fit_shresnet(task)
    arrays = fitted.harmonizer.arrays()
    again = fit_shresnet(task).harmonizer.arrays()
    golkov = [fit_golkov(task).harmonizer.arrays() for _ in range(2)]
    return [
        Check("losses of training", compare_epochs(reference, fitted), 2e-3),
        Check("amplitude head", compare_heads(cpu_task, device), 5e-3),
        Check("prediction of a scan", compare_predictions(reference, image, device), 1e-4),
        Check("arrays of the same fit again", count_differences(arrays, again), 0),
        Check("arrays of a fit that was stopped", count_differences(arrays, fit_resumed(task)), 0),
        Check("arrays of Golkov's network again", count_differences(*golkov), 0),
        Check("losses of stacked networks", compare_losses(3, 64, device), 1e-5),
    ]


def compare_epochs(
    one: FitResult[ShresnetHarmonizer], other: FitResult[ShresnetHarmonizer]
) -> float:
    """Largest relative difference of the training and validation losses."""
    losses = [
        [(epoch.training_loss, epoch.validation_loss) for epoch in result.epochs]
        for result in (one, other)
    ]
    return float(np.abs(np.divide(losses[0], losses[1]) - 1).max())


def compare_heads(cpu_task: FitTask, device: str) -> float:
    """Largest difference of the stretch of heads that are fitted to the same network."""
    task = replace(cpu_task, device=device)
    one, _ = calibrate_amplitudes(make_network(cpu_task).eval(), cpu_task)
    other, _ = calibrate_amplitudes(make_network(task).eval(), task)
    assert one is not None
    assert other is not None
    return float((one.stretch - other.stretch).abs().max())


def compare_predictions(
    fitted: FitResult[ShresnetHarmonizer], image: ShImage, device: str
) -> float:
    """Largest difference of the coefficients, relative to the largest coefficient."""
    harmonizer = fitted.harmonizer
    loaded = load_shresnet(harmonizer.arrays(), harmonizer.record(), device)
    expected = harmonizer.predict(image)
    return float(np.abs(loaded.predict(image) - expected).max() / np.abs(expected).max())


def fit_resumed(task: FitTask) -> Arrays:
    """Fit again from the state after the first epoch, as read from a file."""
    states: list[BytesIO] = []

    def save_state(state: TrainingState) -> None:
        states.append(BytesIO())
        torch.save(dict(state), states[-1])  # at once: training continues with the same tensors

    fit_shresnet(replace(task, save_state=save_state))
    states[0].seek(0)
    saved_state = torch.load(states[0], map_location="cpu", weights_only=True)
    return fit_shresnet(replace(task, saved_state=saved_state)).harmonizer.arrays()


def count_differences(one: Arrays, other: Arrays) -> int:
    """Count the arrays that differ in any bit."""
    assert one.keys() == other.keys()
    return sum(one[name].tobytes() != other[name].tobytes() for name in one)
