"""Means of a region in each held-out subject: predicted, and measured by the target scanner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from bids_shresnet.evaluation.group_means.regional_means import RegionalMean
from bids_shresnet.evaluation.results import ALL_PLACES, MAP_QUANTITIES, HeldOutResult


class Region(NamedTuple):
    """FA or MD as a method predicts it in one region: a tissue, or a label of a parcellation."""

    method: str
    name: str
    quantity: str


@dataclass(frozen=True)
class PairedMeans:
    """Means of a quantity over the voxels of a region, of n subjects.

    Attributes
    ----------
    means, target_means
        As predicted, and as the target scanner measured them: one per subject, in the same order.
        MD is in mm2/s; FA has no unit.
    """

    region: Region
    means: Float[np.ndarray, " n"]
    target_means: Float[np.ndarray, " n"]

    @property
    def biases(self) -> Float[np.ndarray, " n"]:
        """Site bias of each subject: its mean relative to the target's, minus 1."""
        return np.asarray(self.means / self.target_means - 1)


def pair_tissue_means(rows: Iterable[HeldOutResult]) -> tuple[PairedMeans, ...]:
    """Pair mean FA and MD of tissues at all places, in the order of the rows.

    A subject counts once, with the mean over its folds.
    """
    return _pair(
        (Region(row.method, row.tissue, row.quantity), row)
        for row in rows
        if row.places == ALL_PLACES and row.quantity in MAP_QUANTITIES
    )


def pair_regional_means(rows: Iterable[RegionalMean]) -> tuple[PairedMeans, ...]:
    """Pair the means of regions in the order of the rows; a subject counts once."""
    return _pair((Region(row.method, row.region, row.quantity), row) for row in rows)


def _pair(
    rows: Iterable[tuple[Region, HeldOutResult | RegionalMean]],
) -> tuple[PairedMeans, ...]:
    """Pair means by region; subjects of a region are those that have it."""
    regions: dict[Region, dict[str, list[tuple[float, float]]]] = {}
    for region, row in rows:
        subjects = regions.setdefault(region, {})
        subjects.setdefault(row.subject, []).append((row.mean, row.target_mean))
    return tuple(_average_folds(region, subjects) for region, subjects in regions.items())


def _average_folds(
    region: Region, subjects: Mapping[str, Sequence[tuple[float, float]]]
) -> PairedMeans:
    """Average over the folds of each subject; subjects are sorted by label."""
    pairs = np.array([np.mean(subjects[subject], axis=0) for subject in sorted(subjects)])
    return PairedMeans(region, means=pairs[:, 0], target_means=pairs[:, 1])
