"""Asking a model: what its folds predict for a scan, how far they agree, and whether they know such tissue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.harmonics import evaluation_matrix
from bids_shresnet.diffusion.novelty import NoveltyDetector
from bids_shresnet.diffusion.representation import Representation, unmask
from bids_shresnet.io.safetensors import read_arrays
from bids_shresnet.methods.harmonizer import combine_predictions, prediction_spread
from bids_shresnet.methods.registry import METHOD_SPECS, load_harmonizer
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.scans import ShImage
from bids_shresnet.settings import Method

FoldCard = Mapping[str, Any]  # of a model's card


@dataclass(frozen=True)
class Prediction:
    """Predicted coefficients, and how far they can be trusted.

    Attributes
    ----------
    uncertainty
        How far the folds' predictions of S/S0 are apart; None where one fold was asked.
    novelty
        Distance of the input from what the model was trained on, in units of the distance that 2 % of healthy brain
        are beyond; 0 where it cannot be judged.
    """

    image: ShImage
    uncertainty: Float[np.ndarray, "x y z"] | None
    novelty: Float[np.ndarray, "x y z"]

    @property
    def novel_voxels(self) -> Bool[np.ndarray, "x y z"]:
        """Voxels unlike anything in the training data."""
        return np.asarray(self.novelty > 1)

    @property
    def novel_fraction(self) -> float:
        """Their share of the voxels that can be judged."""
        judged = self.novelty > 0
        return float(self.novel_voxels[judged].mean()) if judged.any() else 0.0


def applicable_method(model: Model, requested: Method) -> Method:
    """The method asked for if it applies what the model has learned, else the model's own."""
    fitted: Method = model.card["FittedAs"]
    return requested if METHOD_SPECS[requested].fitted_method == fitted else model.card["Method"]


def predict(
    model: Model,
    folds: Sequence[FoldCard],
    representation: Representation,
    method: Method,
    device: str,
) -> Prediction:
    """Let the folds predict a scan, and combine what they say."""
    image = representation.image
    harmonizers = (load_harmonizer(model.folder / fold["File"], method, device) for fold in folds)
    predictions = [harmonizer.predict(image).astype(np.float32) for harmonizer in harmonizers]
    together = replace(
        image, coefficients=unmask(combine_predictions(predictions, image.shells), image.mask)
    )
    novelty = _median_novelty(image, [model.folder / fold["Novelty"]["File"] for fold in folds])
    if len(predictions) == 1:
        return Prediction(together, None, novelty)
    apart = prediction_spread(
        predictions, evaluation_matrix(representation.directions, image.shells).astype(np.float32)
    )
    return Prediction(together, unmask(apart, image.mask), novelty)


def predict_missing_shells(
    model: Model, folds: Sequence[FoldCard], image: ShImage, device: str
) -> ShImage:
    """Let the folds predict the shells that the target has and the scan lacks."""
    files = [model.folder / fold["MissingShells"]["File"] for fold in folds]
    predictions = [
        load_harmonizer(file, "shresnet", device).predict(image).astype(np.float32)
        for file in files
    ]
    together = unmask(combine_predictions(predictions, model.missing_shells), image.mask)
    return replace(image, shells=model.missing_shells, coefficients=together)


def _median_novelty(image: ShImage, detector_files: Sequence[Path]) -> Float[np.ndarray, "x y z"]:
    """Median of what the folds' guards say, each in units of its own threshold."""
    found = [NoveltyDetector.from_arrays(read_arrays(str(guard))) for guard in detector_files]
    return np.asarray(
        np.median([one.compute_distances(image) / one.threshold for one in found], axis=0),
        dtype=np.float32,
    )
