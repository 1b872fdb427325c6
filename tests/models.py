"""Model folders whose networks predict a constant signal, so that every result is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bids_shresnet.diffusion.harmonics import LAPLACE_BELTRAMI_WEIGHT, SH_BASIS_NAME
from bids_shresnet.diffusion.measurement_noise import MeasurementNoise
from bids_shresnet.diffusion.mixture import Mixture
from bids_shresnet.diffusion.novelty import NoveltyDetector
from bids_shresnet.io.safetensors import serialize_arrays
from bids_shresnet.io.storage import hash_file, write_bytes
from bids_shresnet.methods.harmonizer import Harmonizer
from bids_shresnet.methods.networks.shresnet import ShresnetHarmonizer
from bids_shresnet.network.error_head import MIN_VARIANCE_SHARE, ErrorHead
from bids_shresnet.network.shresnet import Architecture, SHResNet
from bids_shresnet.outputs.model.card import (
    FoldRecord,
    GivenImages,
    MissingShellRecord,
    ModelCard,
    ModelFile,
    ScannerRecord,
    ShellRecord,
)
from bids_shresnet.outputs.model.folder import Model, read_dataset_record, write_card
from bids_shresnet.pairs import ALL_SUBJECTS, Split
from bids_shresnet.scans import Acquisition
from bids_shresnet.settings import METHOD_NAMES, NetworkConfig, TrainingConfig
from bids_shresnet.training.splits import split_subjects
from tests.datasets import spiral

SUBJECTS = ("01", "02", "03")  # travelling; fold n holds out the n-th
FEATURES = 6  # of a voxel with one shell, by which novelty is judged
DIGEST = "0" * 64  # SHA-256 of no file
SOURCE_BVALUE = 1000.0  # s/mm2
NOISE = MeasurementNoise(level=0.03, direction_count=8, b0_count=1)
MISSING_BVALUE = 2500.0  # s/mm2


ACQUISITION = Acquisition(
    voxel_size=(2.0, 2.0, 2.0), b0_count=1, mask_method="computed", denoised="no"
)


def directions(count: int) -> tuple[tuple[float, ...], ...]:
    """Gradient table of a shell."""
    return tuple(tuple(direction) for direction in spiral(count).tolist())


MISSING_SHELL = MissingShellRecord(MISSING_BVALUE, 2, directions(7))


def constant_network(signal: float) -> SHResNet:
    """Network that predicts S/S0 = `signal` in all directions of one shell of order 2."""
    network = SHResNet(Architecture((1, 5), resblocks=1, hidden=2))
    torch.nn.init.zeros_(network.final.weight)
    network.final.bias.data[0] = signal * np.sqrt(4 * np.pi)  # Y_00 = 1 / sqrt(4 pi)
    return network.eval()


def constant_error_head(deviation: float) -> ErrorHead:
    """Error head of one shell of order 2 that predicts the same standard deviation everywhere."""
    head = ErrorHead((1, 5), hidden=2)
    for parameter in head.parameters():
        torch.nn.init.zeros_(parameter)
    without_unit = float(np.log(2) + MIN_VARIANCE_SHARE)  # softplus(0) = log 2
    head.unit.fill_(deviation**2 * 4 * np.pi / 6 / without_unit)  # six equal coefficients
    return head.eval()


def constant_detector(*, usual: float, roughness: Sequence[float] = ()) -> NoveltyDetector:
    """Detector whose novelty is roughly `1 / usual` in every voxel that has features.

    `roughness` is that of the training scans, by default not known.
    """
    mixture = Mixture(np.ones(1), np.full((1, FEATURES), 1e6), np.eye(FEATURES)[None] * 1e12)
    return NoveltyDetector(mixture, usual * np.sqrt(FEATURES), np.array(roughness))


def constant_model(
    folder: Path,
    dataset: Path,
    *,
    signals: Sequence[float] = (0.4, 0.5, 0.9),
    source: str = "GE",
    target: str = "Prisma",
    target_bvalue: float = 1000.0,
    usual: float = 100.0,
    missing: float | None = None,
    noise: MeasurementNoise | None = None,
    error: float | None = None,
    **changes: Any,
) -> Model:
    """Write a model of three travelling subjects; the network of fold n predicts the n-th signal.

    With `missing` each fold also predicts that signal for a shell that the source lacks. `noise` is
    that of the target, by default not known, and `error` the standard deviation of S/S0 about the
    prediction. `changes` are fields of the card.
    """
    *folds, all_subjects = [
        replace(
            _write_fit(folder, number, signal, usual=usual, missing=missing, error=error),
            measurement_noise=noise,
        )
        for number, signal in [*enumerate(signals, 1), (ALL_SUBJECTS, float(np.mean(signals)))]
    ]
    card = ModelCard(
        name=f"from-{source}_to-{target}",
        description="Predicts a constant signal.",
        method="shresnet",
        method_name=METHOD_NAMES["shresnet"],
        fitted_as="shresnet",
        source_scanner=ScannerRecord(source),
        target_scanner=ScannerRecord(target),
        source_acquisition=ACQUISITION,
        target_acquisition=ACQUISITION,
        sh_basis=SH_BASIS_NAME,
        sh_smoothing=LAPLACE_BELTRAMI_WEIGHT,
        shells=(ShellRecord(SOURCE_BVALUE, target_bvalue, 2, 8, directions(8)),),
        missing_shells=() if missing is None else (MISSING_SHELL,),
        network=NetworkConfig(),
        harmonizer={},
        training=TrainingConfig(),
        seed=0,
        dataset=read_dataset_record(dataset),
        subjects=dict.fromkeys(SUBJECTS, DIGEST),
        given_images=GivenImages(masks=0, tissues=0),
        folds=tuple(folds),
        all_subjects=all_subjects,
        software={"bids_shresnet": "0", "python": "0"},
    )
    return write_card(folder, replace(card, **changes))


def change_card(model: Model, **changes: Any) -> Model:
    """Write the model's card again with other values of some fields."""
    return write_card(model.folder, replace(model.card, **changes))


def write_harmonizer(file: Path, harmonizer: Harmonizer) -> ModelFile:
    """Write a fitted method as a fold of a model."""
    record = {"inputs": "", "harmonizer": harmonizer.record()}
    write_bytes(file, serialize_arrays(harmonizer.arrays(), record))
    return ModelFile(file=file.name, sha256=hash_file(file))


def _write_fit(
    folder: Path,
    number: int,
    signal: float,
    *,
    usual: float,
    missing: float | None,
    error: float | None,
) -> FoldRecord:
    split = Split(training=SUBJECTS, validation=(), test=())
    label = "all"
    if number != ALL_SUBJECTS:
        split = split_subjects(SUBJECTS, len(SUBJECTS))[number - 1]
        label = f"{number:02d}"
    missing_shells = None
    if missing is not None:
        missing_shells = _write_network(folder / f"missing-{label}.safetensors", missing)
    return FoldRecord(
        weights=_write_network(folder / f"fold-{label}.safetensors", signal, error),
        novelty=_write_detector(folder / f"novelty-{label}.safetensors", usual),
        missing_shells=missing_shells,
        **vars(split),
        best_epoch=0,
    )


def _write_network(file: Path, signal: float, error: float | None = None) -> ModelFile:
    error_head = None if error is None else constant_error_head(error)
    harmonizer = ShresnetHarmonizer(constant_network(signal), error_head=error_head)
    return write_harmonizer(file, harmonizer)


def _write_detector(file: Path, usual: float) -> ModelFile:
    arrays = constant_detector(usual=usual).arrays()
    write_bytes(file, serialize_arrays(arrays, {"inputs": ""}))
    return ModelFile(file=file.name, sha256=hash_file(file))
