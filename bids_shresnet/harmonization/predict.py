"""Asking a model: what its folds predict for a scan, how far they agree, and whether they know such tissue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.harmonics import evaluation_matrix
from bids_shresnet.diffusion.novelty import Novelty
from bids_shresnet.diffusion.representation import Representation, in_mask
from bids_shresnet.io.safetensors import read_arrays
from bids_shresnet.methods.harmonizer import combine, spread
from bids_shresnet.methods.registry import RECIPES, load_harmonizer
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.scans import ShImage
from bids_shresnet.settings import Method

Fold = Mapping[str, Any]  # of a model's card


@dataclass(frozen=True)
class Harmonized:
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
    def unknown(self) -> Bool[np.ndarray, "x y z"]:
        """Voxels unlike anything in the training data."""
        return np.asarray(self.novelty > 1)

    @property
    def unknown_share(self) -> float:
        """Their share of the voxels that can be judged."""
        judged = self.novelty > 0
        return float(self.unknown[judged].mean()) if judged.any() else 0.0


def method_for(model: Model, asked: Method) -> Method:
    """The method asked for if it applies what the model has learned, else the model's own."""
    fitted: Method = model.card["FittedAs"]
    return asked if RECIPES[asked].fitted_as == fitted else model.card["Method"]


def ask(model: Model, folds: Sequence[Fold], seen: Representation, method: Method, device: str) -> Harmonized:
    """Let the folds predict a scan, and combine what they say."""
    image = seen.image
    harmonizers = (load_harmonizer(model.folder / fold["File"], method, device) for fold in folds)
    predictions = [harmonizer.predict(image).astype(np.float32) for harmonizer in harmonizers]
    together = replace(image, coefficients=in_mask(combine(predictions, image.shells), image.mask))
    novelty = _novelty(image, [model.folder / fold["Novelty"]["File"] for fold in folds])
    if len(predictions) == 1:
        return Harmonized(together, None, novelty)
    apart = spread(predictions, evaluation_matrix(seen.tables, image.shells).astype(np.float32))
    return Harmonized(together, in_mask(apart, image.mask), novelty)


def ask_missing(model: Model, folds: Sequence[Fold], image: ShImage, device: str) -> ShImage:
    """Let the folds predict the shells that the target has and the scan lacks."""
    files = [model.folder / fold["MissingShells"]["File"] for fold in folds]
    predictions = [load_harmonizer(file, "shresnet", device).predict(image).astype(np.float32) for file in files]
    together = in_mask(combine(predictions, model.missing_shells), image.mask)
    return replace(image, shells=model.missing_shells, coefficients=together)


def _novelty(image: ShImage, guards: Sequence[Path]) -> Float[np.ndarray, "x y z"]:
    """Median of what the folds' guards say, each in units of its own threshold."""
    found = [Novelty.from_arrays(read_arrays(str(guard))) for guard in guards]
    return np.asarray(np.median([one.distance(image) / one.threshold for one in found], axis=0), dtype=np.float32)
