"""The parts of fitting a fold and of applying a model, on simulated heads of real size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.synthetic_heads import SHELLS, simulate_head, simulate_subject
from bids_shresnet.methods.harmonizer import FitTask
from bids_shresnet.methods.networks.calibration import calibrate_amplitudes
from bids_shresnet.methods.networks.shresnet import (
    ShresnetHarmonizer,
    make_architecture,
    train_network,
)
from bids_shresnet.methods.regression import fit_ridge
from bids_shresnet.methods.sampling import draw_rows, read_samples
from bids_shresnet.network.amplitude import AmplitudeHead
from bids_shresnet.network.prediction import Predictor
from bids_shresnet.network.shresnet import SHResNet, build_shresnet
from bids_shresnet.settings import NetworkConfig, TrainingConfig

Work = Callable[[], int]  # returns the number of voxels


@dataclass(frozen=True)
class Sizes:
    """How much a device works.

    Attributes
    ----------
    subject_voxels
        Voxels of each of three training subjects.
    epoch_voxels
        Voxels drawn for an epoch.
    brain_voxels
        Voxels of a scan to predict.
    """

    subject_voxels: int
    epoch_voxels: int
    epochs: int
    brain_voxels: int

    @property
    def validation_voxels(self) -> int:
        """Voxels of the validation subject; as in a real fold, 30,000 to 80,000 of an epoch."""
        return self.epoch_voxels * 3 // 8


LARGE = Sizes(subject_voxels=50_000, epoch_voxels=80_000, epochs=2, brain_voxels=200_000)
MEDIUM = Sizes(subject_voxels=2_000, epoch_voxels=5_000, epochs=1, brain_voxels=8_192)
SMALL = Sizes(subject_voxels=300, epoch_voxels=600, epochs=2, brain_voxels=500)


def make_task(sizes: Sizes, device: str) -> FitTask:
    """Make the task of fitting one fold with the default settings."""
    return FitTask(
        training=[simulate_subject(seed, sizes.subject_voxels) for seed in (1, 2, 3)],
        validation=simulate_subject(4, sizes.validation_voxels),
        shells=SHELLS,
        network=NetworkConfig(),
        training_config=TrainingConfig(
            voxels_per_epoch=sizes.epoch_voxels, max_epochs=sizes.epochs
        ),
        seed=1,
        device=device,
    )


def make_network(task: FitTask) -> SHResNet:
    """Build the network of a task on its device."""
    architecture = make_architecture(task.outputs, task.network)
    return build_shresnet(architecture, seed=task.seed).to(task.device)


def make_parts(sizes: Sizes, device: str) -> dict[str, Work]:
    """Make functions that do one part of the work each, by its name."""
    task = make_task(sizes, device)
    return training_parts(task) | {"prediction": prediction_part(task, sizes.brain_voxels)}


def training_parts(task: FitTask) -> dict[str, Work]:
    """Make the parts of fitting a fold."""
    config = task.training_config
    matched = [subject.matched for subject in task.training]
    network = make_network(task)
    voxels = sum(len(subject.tissue) for subject in matched)

    def fit_regression() -> int:
        fit_ridge(task.training, network.architecture.input_channels, task.device)
        return voxels

    def draw_epoch() -> int:
        rows = draw_rows(matched, config.voxels_per_epoch, seed=[task.seed])
        return len(read_samples(matched, rows).to(torch.device(task.device)))

    def train() -> int:
        train_network(network, task)
        return config.voxels_per_epoch * config.max_epochs

    def calibrate() -> int:
        calibrate_amplitudes(Predictor(network), task)
        return voxels

    return {
        "regression": fit_regression,
        "drawing voxels": draw_epoch,
        "training": train,
        "amplitude head": calibrate,
    }


def prediction_part(task: FitTask, voxels: int) -> Work:
    """Make the prediction of a scan, with calibrated amplitudes."""
    image = simulate_head(5, voxels)
    head = AmplitudeHead(task.outputs).to(task.device).eval()
    harmonizer = ShresnetHarmonizer(make_network(task).eval(), head)

    def predict() -> int:
        return len(harmonizer.predict(image))

    return predict
