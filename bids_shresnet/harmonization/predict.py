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
from bids_shresnet.io.file_errors import MODEL_REMEDY, raise_bad_input, raise_if_unreadable
from bids_shresnet.io.safetensors import read_arrays
from bids_shresnet.methods.harmonizer import combine_predictions, prediction_spread
from bids_shresnet.methods.registry import load_harmonizer
from bids_shresnet.outputs.model.card import FoldRecord
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.scans import Shell, ShImage
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
    predictions = _predict_coefficients(network_files, image.shells, image, method, device)
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
    predictions = _predict_coefficients(files, model.missing_shells, image, "shresnet", device)
    combined = combine_predictions(predictions, model.missing_shells)
    return replace(image, shells=model.missing_shells, coefficients=unmask(combined, image.mask))


def _predict_coefficients(
    network_files: Sequence[Path],
    shells: Sequence[Shell],
    image: ShImage,
    method: Method,
    device: str,
) -> list[Float[np.ndarray, "v c"]]:
    """Return the coefficients of these shells that each network predicts in the mask.

    Raises
    ------
    BadInput
        If a network predicts other shells, or values that are not finite.
    """
    predictions = []
    for file in network_files:
        predicted = load_harmonizer(file, method, device).predict(image).astype(np.float32)
        check_prediction(file, predicted, shells)
        predictions.append(predicted)
    return predictions


def check_prediction(
    file: Path, predicted: Float[np.ndarray, "v c"], shells: Sequence[Shell]
) -> None:
    """Check what the network of a file predicted.

    Raises
    ------
    BadInput
        If these are not the coefficients of the shells, or not finite.
    """
    count = sum(shell.coefficient_count for shell in shells)
    if predicted.shape[1] != count:
        value = f"it predicts {predicted.shape[1]} coefficients, not {count}"
        raise_bad_input(file, value, MODEL_REMEDY)
    if not np.isfinite(predicted).all():
        raise_bad_input(file, "it predicts values that are not finite", MODEL_REMEDY)


def _median_novelty(image: ShImage, detector_files: Sequence[Path]) -> Float[np.ndarray, "x y z"]:
    """Return the median novelty over the folds, each in units of its own threshold."""
    distances = []
    for file in detector_files:
        detector = load_detector(file)
        distances.append(detector.compute_distances(image) / detector.threshold)
    return np.asarray(np.median(distances, axis=0), dtype=np.float32)


def load_detector(file: Path) -> NoveltyDetector:
    """Load a detector.

    Raises
    ------
    BadInput
        If the file holds something else, or a threshold that is not positive.
    """
    with raise_if_unreadable(file, "no novelty detector", MODEL_REMEDY):
        detector = NoveltyDetector.from_arrays(read_arrays(file))
    if not detector.threshold > 0:
        raise_bad_input(file, f"a threshold of {detector.threshold:g}", MODEL_REMEDY)
    return detector
