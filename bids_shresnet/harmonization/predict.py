"""Prediction of a model's network for a scan, its variance, and the scan's novelty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.novelty import NoveltyDetector
from bids_shresnet.diffusion.representation import Representation
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.io.file_errors import MODEL_REMEDY, raise_bad_input, raise_if_unreadable
from bids_shresnet.io.safetensors import read_arrays
from bids_shresnet.methods.harmonizer import ErrorPredictor, Harmonizer
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
    coefficient_variance
        Variance of a coefficient of every order and shell about the prediction; None if it was not
        learned.
    novelty
        Distance of the input from the training data, in units of the distance that 2 % of
        healthy brain exceed; 0 where it cannot be judged.
    roughness_ratio
        Roughness of the input, relative to the training data (`diffusion/spatial/roughness.py`).
    """

    sh_image: ShImage
    coefficient_variance: Float[np.ndarray, "x y z k"] | None
    novelty: Float[np.ndarray, "x y z"]
    roughness_ratio: float


def predict(
    model: Model,
    fit: FoldRecord,
    representation: Representation,
    *,
    method: Method,
    device: str,
) -> Prediction:
    """Predict the target's coefficients of a scan with a fit of the model."""
    image = representation.image
    file = model.folder / fit.weights.file
    coefficients, variance = predict_with_error(load_harmonizer(file, method, device), image)
    check_prediction(file, coefficients, image.shells)
    detector = load_detector(model.folder / fit.novelty.file)
    novelty = detector.compute_distances(image) / detector.threshold
    return Prediction(
        sh_image=replace(image, coefficients=unmask(coefficients, image.mask)),
        coefficient_variance=None if variance is None else unmask(variance, image.mask),
        novelty=novelty.astype(np.float32),
        roughness_ratio=detector.compare_roughness(image),
    )


def predict_with_error(
    harmonizer: Harmonizer, image: ShImage
) -> tuple[Float[np.ndarray, "v c"], Float[np.ndarray, "v k"] | None]:
    """Predict coefficients, and the variance of those about them if the method knows it."""
    if isinstance(harmonizer, ErrorPredictor):
        coefficients, variance = harmonizer.predict_with_error(image)
        return coefficients.astype(np.float32), variance
    return harmonizer.predict(image).astype(np.float32), None


def predict_missing_shells(model: Model, fit: FoldRecord, image: ShImage, device: str) -> ShImage:
    """Predict the shells that the target has and the scan lacks.

    Raises
    ------
    BadInput
        If the network predicts other shells, or values that are not finite.
    """
    assert fit.missing_shells is not None, f"{model.name} predicts no missing shells"
    file = model.folder / fit.missing_shells.file
    predicted = load_harmonizer(file, "shresnet", device).predict(image).astype(np.float32)
    check_prediction(file, predicted, model.missing_shells)
    coefficients = unmask(predicted, image.mask)
    return replace(
        image, shells=model.missing_shells, coefficients=coefficients, order_2_power=None
    )


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
