"""Checks that networks on a device give the CPU's results, and the same results every time."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import torch
from jaxtyping import Float

from benchmarks.stacked_folds import compare_losses
from benchmarks.synthetic_heads import ORDER_2
from bids_shresnet.methods.harmonizer import Arrays, FitResult, FitTask
from bids_shresnet.methods.networks.calibration import calibrate_amplitudes
from bids_shresnet.methods.networks.golkov import fit_golkov
from bids_shresnet.methods.networks.map_regression import fit_map_regression
from bids_shresnet.methods.networks.shresnet import (
    ShresnetHarmonizer,
    fit_shresnet,
    load_shresnet,
)
from bids_shresnet.network.prediction import Predictor
from bids_shresnet.network.schedules import TrainingState
from bids_shresnet.network.shresnet import SHResNet
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

    Fits differ more than predictions, because every step builds on the rounding of the last. On the
    CPU, weights of a network that differ by 1e-7 give heads whose amplitudes differ by 1 to 2 % in
    a voxel and by 0.1 % on average.
    """
    task = replace(cpu_task, device=device)
    reference = fit_shresnet(cpu_task)
    fitted = fit_shresnet(task)
    arrays = fitted.harmonizer.arrays()
    again = fit_shresnet(task).harmonizer.arrays()
    golkov = [fit_golkov(task).harmonizer.arrays() for _ in range(2)]
    maps = [fit_map_regression(task).harmonizer.arrays() for _ in range(2)]
    mean_difference, voxel_difference = compare_heads(reference, cpu_task, image, device)
    return [
        Check("losses of training", compare_epochs(reference, fitted), 5e-3),
        Check("mean calibrated amplitude", mean_difference, 1e-2),
        Check("calibrated amplitude of a voxel", voxel_difference, 5e-2),
        Check("prediction of a scan", compare_predictions(reference, image, device), 1e-4),
        Check("arrays of the same fit again", count_differences(arrays, again), 0),
        Check("arrays of a fit that was stopped", count_differences(arrays, fit_resumed(task)), 0),
        Check("arrays of Golkov's network again", count_differences(*golkov), 0),
        Check("arrays of the network of maps again", count_differences(*maps), 0),
        Check("losses of stacked networks", compare_losses(3, 64, device), 1e-5),
    ]


def compare_epochs(
    one: FitResult[ShresnetHarmonizer], other: FitResult[ShresnetHarmonizer]
) -> float:
    """Largest relative difference of the training and validation losses."""
    losses = [
        [(epoch.training_loss, epoch.loss) for epoch in result.epochs] for result in (one, other)
    ]
    return float(np.abs(np.divide(losses[0], losses[1]) - 1).max())


def compare_heads(
    fitted: FitResult[ShresnetHarmonizer], cpu_task: FitTask, image: ShImage, device: str
) -> tuple[float, float]:
    """Fit the head of a trained network on both devices, and apply both on the CPU.

    Returns
    -------
    Relative difference of the mean amplitude of order 2, and mean difference in a voxel.
    """
    network = fitted.harmonizer.network
    expected = _calibrated_amplitudes(deepcopy(network), cpu_task, image, "cpu")
    other = _calibrated_amplitudes(deepcopy(network), cpu_task, image, device)
    mean = expected.mean()
    return float(abs(other.mean() / mean - 1)), float(np.abs(other - expected).mean() / mean)


def _calibrated_amplitudes(
    network: SHResNet, cpu_task: FitTask, image: ShImage, device: str
) -> Float[np.ndarray, " v"]:
    task = replace(cpu_task, device=device)
    head, _ = calibrate_amplitudes(Predictor(network.to(device)), task)
    predicted = ShresnetHarmonizer(network.cpu(), head).predict(image)
    return np.asarray(np.linalg.norm(predicted[:, ORDER_2], axis=1))


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
