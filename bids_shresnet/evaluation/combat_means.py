"""ComBat on the mean FA and MD of each tissue: the bias that it leaves on a held-out subject."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bids_shresnet.evaluation.predictions import source_maps_at_matched_voxels
from bids_shresnet.evaluation.quantities import TISSUE_CODES
from bids_shresnet.methods.template.combat import fit_mean_combat
from bids_shresnet.methods.template.template_methods import COMBAT_MAPS
from bids_shresnet.pairs import TravellingSubject

MIN_SUBJECTS = 2  # one subject does not determine the scale of a scanner


class CorrectedMean(NamedTuple):
    """Mean of a quantity in a tissue after ComBat, and as the target measured it."""

    tissue: str
    quantity: str
    mean: float
    target_mean: float


def combat_means(
    training: Sequence[TravellingSubject], held_out: TravellingSubject
) -> Iterator[CorrectedMean]:
    """Yield the corrected mean of each tissue and quantity.

    Training subjects that lack a tissue are not used; none is yielded for fewer than two subjects.
    """
    if len(training) < MIN_SUBJECTS:
        return
    means = np.stack([_tissue_means(subject) for subject in training])
    means = means[np.isfinite(means).all(axis=(1, 2, 3))]
    if len(means) < MIN_SUBJECTS:
        return
    source_means, target_means = _tissue_means(held_out)
    for column, quantity in enumerate(COMBAT_MAPS):
        effect = fit_mean_combat(means[:, 0, :, column], means[:, 1, :, column])
        corrected = effect.remove(source_means[None, :, column])[0]
        pairs = zip(TISSUE_CODES, corrected, target_means[:, column], strict=True)
        for tissue, mean, target_mean in pairs:
            if np.isfinite(mean) and np.isfinite(target_mean):
                yield CorrectedMean(tissue, quantity, float(mean), float(target_mean))


def _tissue_means(subject: TravellingSubject) -> Float[np.ndarray, "scanner tissue quantity"]:
    """Mean FA and MD of each tissue on source and target; NaN without voxels of a tissue."""
    maps = (source_maps_at_matched_voxels(subject), subject.unharmonized.target_maps)
    return np.array([_means_by_tissue(values, subject) for values in maps])


def _means_by_tissue(
    values: Float[np.ndarray, "v q"], subject: TravellingSubject
) -> list[Float[np.ndarray, " q"]]:
    masks = [subject.matched.tissue == code for code in TISSUE_CODES.values()]
    return [_column_means(values[mask]) for mask in masks]


def _column_means(values: Float[np.ndarray, "v q"]) -> Float[np.ndarray, " q"]:
    """Mean of each column; NaN without rows."""
    return values.mean(axis=0) if len(values) else np.full(values.shape[1], np.nan)
