"""Numbers of the maps that the pictures of a scan show, for its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from bids_shresnet.evaluation.agreement import pearson_correlation, summarize_differences
from bids_shresnet.report.pictures.regions import Region
from bids_shresnet.report.pictures.scan_maps import (
    AFTER,
    BEFORE,
    TARGET,
    ScanMaps,
    direction_change,
    paired_values,
)


def region_means(scan_maps: ScanMaps) -> list[dict[str, Any]]:
    """Means of FA and MD (mm2/s) over each region of the brain, before and after."""
    return [
        {
            "Region": region.name,
            "Voxels": int(region.mask.sum()),
            "FA": _means_over(region, scan_maps.fa),
            "MD": _means_over(region, scan_maps.md),
        }
        for region in scan_maps.regions
        if region.mask.any()
    ]


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


def _means_over(region: Region, maps: Mapping[str, Float[np.ndarray, "x y z"]]) -> dict[str, float]:
    return {state: _round(float(maps[state][region.mask].mean()), 5) for state in (BEFORE, AFTER)}


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
