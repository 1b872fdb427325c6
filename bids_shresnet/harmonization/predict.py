"""Predictions of a model's networks for a scan, their agreement, and the scan's novelty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.harmonics import evaluation_matrix
from bids_shresnet.diffusion.novelty import NoveltyDetector
from bids_shresnet.diffusion.representation import Representation
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.io.safetensors import read_arrays
from bids_shresnet.methods.harmonizer import combine_predictions, prediction_spread
from bids_shresnet.methods.registry import load_harmonizer
from bids_shresnet.outputs.model.card import FoldRecord
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.scans import ShImage
from bids_shresnet.settings import Method


@dataclass(frozen=True)
class Prediction:
    """Predicted coefficients and how far they can be trusted.

    Attributes
    ----------
    uncertainty
        Standard deviation of the predicted S/S0 over the folds; None for a single fold.
    novelty
        Distance of the input from the training data, in units of the distance that 2 % of
        healthy brain exceed; 0 where it cannot be judged.
    """

    sh_image: ShImage
    uncertainty: Float[np.ndarray, "x y z"] | None
    novelty: Float[np.ndarray, "x y z"]


def predict(
    model: Model,
    folds: Sequence[FoldRecord],
    representation: Representation,
    *,
    method: Method,
    device: str,
) -> Prediction:
    """Predict the target's coefficients of a scan with each fold, and combine the predictions."""
    image = representation.image
    network_files = [model.folder / fold.weights.file for fold in folds]
    predictions = _predict_coefficients(network_files, image, method=method, device=device)
    combined = combine_predictions(predictions, image.shells)
    uncertainty = None
    if len(predictions) > 1:
        matrix = evaluation_matrix(representation.directions, image.shells).astype(np.float32)
        uncertainty = unmask(prediction_spread(predictions, matrix), image.mask)
    detector_files = [model.folder / fold.novelty.file for fold in folds]
    return Prediction(
        sh_image=replace(image, coefficients=unmask(combined, image.mask)),
        uncertainty=uncertainty,
        novelty=_median_novelty(image, detector_files),
    )


def predict_missing_shells(
    model: Model, folds: Sequence[FoldRecord], image: ShImage, device: str
) -> ShImage:
    """Predict the shells that the target has and the scan lacks."""
    files = [model.folder / fold.missing_shells.file for fold in folds if fold.missing_shells]
    predictions = _predict_coefficients(files, image, method="shresnet", device=device)
    combined = combine_predictions(predictions, model.missing_shells)
    return replace(image, shells=model.missing_shells, coefficients=unmask(combined, image.mask))


def _predict_coefficients(
    network_files: Sequence[Path], image: ShImage, *, method: Method, device: str
) -> list[Float[np.ndarray, "v c"]]:
    """Return the coefficients that each network predicts for the voxels of the mask."""
    return [
        load_harmonizer(file, method, device).predict(image).astype(np.float32)
        for file in network_files
    ]


def _median_novelty(image: ShImage, detector_files: Sequence[Path]) -> Float[np.ndarray, "x y z"]:
    """Return the median novelty over the folds, each in units of its own threshold."""
    detectors = [NoveltyDetector.from_arrays(read_arrays(file)) for file in detector_files]
    distances = [detector.compute_distances(image) / detector.threshold for detector in detectors]
    return np.asarray(np.median(distances, axis=0), dtype=np.float32)
