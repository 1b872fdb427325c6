"""Relation of the spread of a model's networks and their error, on held-out subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import spearmanr

from bids_shresnet.methods.harmonizer import Harmonizer, prediction_spread
from bids_shresnet.methods.registry import load_harmonizer
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.outputs.model.validation import SpreadCalibration, SpreadGroup
from bids_shresnet.pairs import TravellingSubject
from bids_shresnet.scans import Tissue
from bids_shresnet.training.prepare import PrepareJob
from bids_shresnet.training.travelling_subjects import open_travelling_subject

VOXELS_PER_SUBJECT = 4000
MAX_OFFSET_VOXELS = 0.3  # between a matched point and the source voxel that stands for it
SPREAD_GROUP_COUNT = 5
MIN_SIGNAL_SPREAD = 1e-6  # of S/S0; below is rounding


def calibrate_spread(
    model: Model, prepared: Sequence[PrepareJob], *, seed: int, device: str
) -> SpreadCalibration | None:
    """Compare spread and error; None where there is no spread or the noise is unknown.

    Linear RISH is not calibrated: it registers whole heads, not the few voxels used here.
    """
    folds = model.card.folds
    if len(folds) < 2 or model.card.fitted_as == "linear_rish":
        return None
    harmonizers = [
        load_harmonizer(model.folder / fold.weights.file, model.card.method, device)
        for fold in folds
    ]
    values = []
    for job in prepared:
        label = job.source.subject
        held_out_index = next(index for index, fold in enumerate(folds) if label in fold.test)
        subject = open_travelling_subject(job.folder, model.source_shells)
        values.append(_spread_and_error(subject, harmonizers, held_out_index, seed))
    spread, squared_error = np.concatenate(values).T
    if not np.isfinite(squared_error).all() or spread.max() < MIN_SIGNAL_SPREAD:
        return None
    return SpreadCalibration(
        rank_correlation=float(spearmanr(spread, squared_error).statistic),
        groups=_group_by_spread(spread, squared_error),
    )


def _group_by_spread(
    spread: Float[np.ndarray, " v"], squared_error: Float[np.ndarray, " v"]
) -> tuple[SpreadGroup, ...]:
    """Divide voxels into groups of ascending spread."""
    groups = []
    for voxels in np.array_split(np.argsort(spread), SPREAD_GROUP_COUNT):
        mean_squared_error = max(squared_error[voxels].mean(), 0)
        groups.append(
            SpreadGroup(
                spread=float(spread[voxels].mean()), error=float(np.sqrt(mean_squared_error))
            )
        )
    return tuple(groups)


def _spread_and_error(
    subject: TravellingSubject, harmonizers: Sequence[Harmonizer], held_out_index: int, seed: int
) -> Float[np.ndarray, "v 2"]:
    """Spread of all networks and squared error of the one that held the subject out.

    The noise of the target's scan is subtracted from the squared error.
    """
    rows, voxels = _choose_voxels(subject, seed)
    predictions = [_predict_voxels(harmonizer, subject, voxels) for harmonizer in harmonizers]
    matched = subject.matched
    signal = predictions[held_out_index] @ matched.sh_matrix.T
    differences = signal - matched.signal[rows].astype(np.float32)
    squared_error = np.square(differences).mean(axis=1) - matched.noise_variance[rows]
    return np.stack([prediction_spread(predictions, matched.sh_matrix), squared_error], axis=1)


def _predict_voxels(
    harmonizer: Harmonizer, subject: TravellingSubject, voxels: Int[np.ndarray, "v 3"]
) -> Float[np.ndarray, "v c"]:
    """Predict some voxels, in their order."""
    mask = np.zeros_like(subject.source.mask)
    mask[tuple(voxels.T)] = True
    indices = np.full(mask.shape, -1)
    indices[mask] = np.arange(mask.sum())
    prediction = harmonizer.predict(replace(subject.source, mask=mask))
    return np.asarray(prediction[indices[tuple(voxels.T)]])


def _choose_voxels(
    subject: TravellingSubject, seed: int
) -> tuple[Int[np.ndarray, " v"], Int[np.ndarray, "v 3"]]:
    """Choose matched voxels of grey and white matter close to a source voxel.

    Returns their rows and the source voxels; each source voxel occurs once.
    """
    matched = subject.matched
    source = subject.source
    to_voxels = np.linalg.inv(source.affine)
    positions = matched.points @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    voxels = np.rint(positions).astype(int)
    is_inside = ((voxels >= 0) & (voxels < source.mask.shape)).all(axis=1)
    is_close = np.abs(positions - voxels).max(axis=1) < MAX_OFFSET_VOXELS
    is_tissue = np.isin(matched.tissue, [Tissue.GM, Tissue.WM])
    candidates = np.flatnonzero(is_inside & is_close & is_tissue)
    rows = np.random.default_rng(seed).permutation(candidates)[:VOXELS_PER_SUBJECT]
    _, first = np.unique(voxels[rows], axis=0, return_index=True)
    rows = np.sort(rows[first])
    return rows, voxels[rows]
