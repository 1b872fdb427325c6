"""How much the spread of a model's networks tells of their error, on held-out subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import spearmanr

from bids_shresnet.methods.harmonizer import Harmonizer, prediction_spread
from bids_shresnet.methods.registry import load_harmonizer
from bids_shresnet.outputs.model_card import SpreadCalibration, SpreadGroup
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.pairs import TravellingSubject
from bids_shresnet.scans import Tissue
from bids_shresnet.training.prepare import PrepareJob
from bids_shresnet.training.travelling_subjects import open_travelling_subject

VOXELS_PER_SUBJECT = 4000  # of each subject
MAX_OFFSET_VOXELS = 0.3  # voxels between a matched point and the source voxel that stands for it
SPREAD_GROUP_COUNT = 5
MIN_SIGNAL_SPREAD = 1e-6  # of S/S0, rounding


def calibrate_spread(
    model: Model, prepared: Sequence[PrepareJob], *, seed: int, device: str
) -> SpreadCalibration | None:
    """Compare spread and error; None where there is no spread or noise is not known.

    LinearRISH registers whole heads, not the few voxels that are looked at here.
    """
    folds = model.card.folds
    if len(folds) < 2 or model.card.fitted_as == "linear_rish":
        return None
    harmonizers = [
        load_harmonizer(model.folder / fold.weights.file, model.card.method, device)
        for fold in folds
    ]
    pairs = []
    for item in prepared:
        unseeing = next(n for n, fold in enumerate(folds) if item.source.subject in fold.test)
        subject = open_travelling_subject(item.folder, model.source_shells)
        pairs.append(_compute_spread_and_error(subject, harmonizers, unseeing, seed))
    apart, squared = np.concatenate(pairs).T
    if not np.isfinite(squared).all() or apart.max() < MIN_SIGNAL_SPREAD:
        return None
    order = np.array_split(np.argsort(apart), SPREAD_GROUP_COUNT)
    groups = [
        SpreadGroup(float(apart[g].mean()), float(np.sqrt(max(squared[g].mean(), 0))))
        for g in order
    ]
    return SpreadCalibration(float(spearmanr(apart, squared).statistic), tuple(groups))


def _compute_spread_and_error(
    subject: TravellingSubject, harmonizers: Sequence[Harmonizer], held_out_index: int, seed: int
) -> Float[np.ndarray, "v 2"]:
    """Spread of all networks and squared error of the one that never saw the subject, at some of its voxels."""
    rows, voxels = _choose_voxels(subject, seed)
    mask = np.zeros_like(subject.source.mask)
    mask[tuple(voxels.T)] = True
    image = replace(subject.source, mask=mask)
    places = np.full(mask.shape, -1)
    places[mask] = np.arange(mask.sum())
    order = places[tuple(voxels.T)]
    predictions = [harmonizer.predict(image)[order] for harmonizer in harmonizers]
    matched = subject.matched
    signal = predictions[held_out_index] @ matched.sh_matrix.T
    squared = (
        np.square(signal - matched.signal[rows].astype(np.float32)).mean(axis=1)
        - matched.noise_variance[rows]
    )
    return np.stack([prediction_spread(predictions, matched.sh_matrix), squared], axis=1)


def _choose_voxels(
    subject: TravellingSubject, seed: int
) -> tuple[Int[np.ndarray, " v"], Int[np.ndarray, "v 3"]]:
    """Matched places of grey and white matter that lie next to a source voxel, and that voxel; each voxel once."""
    matched = subject.matched
    to_voxels = np.linalg.inv(subject.source.affine)
    at = matched.points @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    voxels = np.rint(at).astype(int)
    inside = ((voxels >= 0) & (voxels < subject.source.mask.shape)).all(axis=1)
    near = (
        inside
        & (np.abs(at - voxels).max(axis=1) < MAX_OFFSET_VOXELS)
        & np.isin(matched.tissue, [Tissue.GM, Tissue.WM])
    )
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(near))[:VOXELS_PER_SUBJECT]
    _, first = np.unique(voxels[rows], axis=0, return_index=True)
    rows = np.sort(rows[first])
    return rows, voxels[rows]
