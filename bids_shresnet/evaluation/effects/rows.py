"""How much of known effects survives harmonization: rows of the table, and their summary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bids_shresnet.evaluation.results import EndpointRow
from bids_shresnet.evaluation.statistics import (
    MIN_BOOTSTRAP_SUBJECTS,
    bootstrap_interval,
    sample_mean,
)
from bids_shresnet.outputs.model.validation import EffectRecovery


@dataclass(frozen=True)
class EffectRow(EndpointRow):
    """An effect in one tissue and quantity of a held-out subject.

    Attributes
    ----------
    effect
        Name of the effect.
    maps
        Kind of the harmonized maps.
    region
        "changed": where the effect was put in; "unchanged": beside it.
    voxels
        Number of voxels.
    put_in
        Relative change of the mean of the harmonized map if the effect is put into it.
    found
        Relative change of the mean of the harmonized map.
    beyond_noise
        Share of voxels that change by more than noise alone lets 5 % of them change.
    """

    effect: str
    maps: str
    region: str
    voxels: int
    put_in: float
    found: float
    beyond_noise: float

    @property
    def recovered(self) -> float:
        """Change found over change put in; 1 is all of it."""
        return self.found / self.put_in


class EffectEndpoint(NamedTuple):
    """Where an effect is looked for."""

    effect: str
    maps: str
    tissue: str
    quantity: str


def summarize_effects(rows: Iterable[EffectRow]) -> tuple[EffectRecovery, ...]:
    """Summarize the subjects, by effect, kind of map, tissue and quantity in the rows' order."""
    groups: dict[EffectEndpoint, dict[str, list[EffectRow]]] = {}
    for row in rows:
        endpoint = EffectEndpoint(row.effect, row.maps, row.tissue, row.quantity)
        groups.setdefault(endpoint, {}).setdefault(row.region, []).append(row)
    return tuple(
        _summarize_endpoint(endpoint, regions["changed"], regions.get("unchanged", ()))
        for endpoint, regions in groups.items()
        if "changed" in regions
    )


def _summarize_endpoint(
    endpoint: EffectEndpoint, changed: Sequence[EffectRow], unchanged: Sequence[EffectRow]
) -> EffectRecovery:
    shares = np.array([[row.recovered for row in changed]])
    has_interval = len(changed) >= MIN_BOOTSTRAP_SUBJECTS
    false_positives = None
    if unchanged:
        false_positives = float(np.mean([row.beyond_noise for row in unchanged]))
    return EffectRecovery(
        **endpoint._asdict(),
        n=len(changed),
        put_in=float(np.mean([row.put_in for row in changed])),
        recovered=float(shares.mean()),
        interval=bootstrap_interval(shares, sample_mean) if has_interval else None,
        false_positives=false_positives,
    )
