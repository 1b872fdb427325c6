"""Try the networks of a model, which may come from anybody, before any scan is read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bids_shresnet.harmonization.predict import check_prediction, load_detector
from bids_shresnet.io.file_errors import MODEL_REMEDY, raise_if_unreadable
from bids_shresnet.methods.registry import load_harmonizer
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.scans import Shell, ShImage
from bids_shresnet.settings import Method

GRID = (3, 3, 3)  # of the image that networks are tried on
SPACE_METHODS = ("linear_rish",)  # register a scan, which takes a whole head


def check_networks(model: Model) -> None:
    """Load everything that a model predicts with, and apply it to a tiny image.

    Raises
    ------
    BadInput
        If a file does not hold what the method needs for the shells of the model.
    """
    image = _make_image(model.source_shells)
    for fold in model.card.fits:
        weights = model.folder / fold.weights.file
        _check_network(weights, model.card.fitted_as, image, model.source_shells)
        _check_detector(model.folder / fold.novelty.file, image)
        if fold.missing_shells is not None:
            file = model.folder / fold.missing_shells.file
            _check_network(file, "shresnet", image, model.missing_shells)
    if model.card.target_denoiser is not None:
        load_harmonizer(model.folder / model.card.target_denoiser.weights.file, "denoised", "cpu")


def _make_image(shells: tuple[Shell, ...]) -> ShImage:
    """Make an image of isotropic signal."""
    coefficients = np.full((*GRID, sum(shell.coefficient_count for shell in shells)), 0.1)
    return ShImage(
        coefficients=coefficients.astype(np.float32),
        mask=np.ones(GRID, bool),
        affine=np.diag([2.0, 2.0, 2.0, 1.0]),
        shells=shells,
        contrast=np.zeros(GRID, np.float32),
        order_2_power=np.full((*GRID, len(shells)), 1e-3, np.float32),
    )


def _check_network(file: Path, method: Method, image: ShImage, shells: Sequence[Shell]) -> None:
    harmonizer = load_harmonizer(file, method, "cpu")
    if method not in SPACE_METHODS:
        with raise_if_unreadable(file, "it does not fit the shells of the model", MODEL_REMEDY):
            check_prediction(file, harmonizer.predict(image), shells)


def _check_detector(file: Path, image: ShImage) -> None:
    detector = load_detector(file)
    with raise_if_unreadable(file, "it does not fit the shells of the model", MODEL_REMEDY):
        detector.compute_distances(image)
