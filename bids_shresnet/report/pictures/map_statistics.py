"""Numbers of the maps that the pictures of a scan show, for its record."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from bids_shresnet.evaluation.agreement import pearson_correlation, summarize_differences
from bids_shresnet.report.pictures.scan_maps import (
    AFTER,
    BEFORE,
    TARGET,
    ScanMaps,
    direction_change,
    paired_values,
)
from bids_shresnet.scans import Tissue


def angle_statistics(scan_maps: ScanMaps) -> dict[str, Any]:
    """Median angle in degrees between the principal directions before and after."""
    angles = direction_change(scan_maps)
    median = round(float(np.median(angles)), 2) if angles.size else None
    return {"Median": median, "Voxels": int(angles.size)}


def agreement_rows(scan_maps: ScanMaps) -> list[dict[str, Any]]:
    """Agreement with the target by quantity, region and state; differences of MD in mm2/s."""
    rows = []
    for quantity, maps in (("FA", scan_maps.fa), ("MD", scan_maps.md)):
        for region, values in paired_values(scan_maps, maps).items():
            for state in (BEFORE, AFTER):
                row = {"Quantity": quantity, "Region": region, "Time": state}
                rows.append(row | _agreement_statistics(values[TARGET], values[state]))
    return rows


def tissue_overlap(scan_maps: ScanMaps) -> float | None:
    """Dice coefficient of white matter in this scan and in the target's; None if one is unknown.

    It is taken over the voxels in the pictures that the target measured.
    """
    if scan_maps.tissue is None or scan_maps.target_tissue is None:
        return None
    assert scan_maps.target_mask is not None
    own = scan_maps.tissue[scan_maps.layout.shown_mask][scan_maps.target_mask] == Tissue.WM
    target = scan_maps.target_tissue == Tissue.WM
    total = own.sum() + target.sum()
    return _round(float(2 * (own & target).sum() / total), 3) if total else None


def _agreement_statistics(
    measured: Float[np.ndarray, " v"], values: Float[np.ndarray, " v"]
) -> dict[str, float]:
    """Compare the values of the same voxels."""
    _, bias, deviation = summarize_differences(measured, values)
    return {
        "TargetMean": _round(float(measured.mean()), 5),
        "bias": _round(bias, 4),
        "spread": _round(deviation, 4),
        "correlation": _round(pearson_correlation(measured, values), 4),
    }


def _round(value: float, significant_digits: int) -> float:
    return float(f"{value:.{significant_digits}g}")
