"""Picture: a harmonized scan, before and after, and the target's scan of the same head -> figures and their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.regions import (
    SEGMENTATION_REGIONS_NOTE,
    TENSOR_REGIONS_NOTE,
    Region,
    segmentation_regions,
    tensor_regions,
)
from bids_shresnet.diffusion.representation import unmask
from bids_shresnet.diffusion.views import DwiView, middle_direction, view_dwi
from bids_shresnet.evaluation.agreement import pearson_correlation, summarize_differences
from bids_shresnet.inputs.segmentation import read_tissue
from bids_shresnet.io.nifti import read_dwi, read_mask, read_volume
from bids_shresnet.io.storage import hash_file, hash_record, read_json
from bids_shresnet.outputs.layout import INPUT_DESC, TENSOR_PARAMETERS, ScanOutputs
from bids_shresnet.report.pictures.gallery import gallery_path, is_drawn, write_gallery
from bids_shresnet.report.pictures.panels import build_panels
from bids_shresnet.report.pictures.scan_maps import (
    AFTER,
    BEFORE,
    TARGET,
    ScanMaps,
    direction_change,
    paired_values,
    unmask_with_nan,
)
from bids_shresnet.report.pictures.slices import SliceLayout
from bids_shresnet.report.pictures.target_scan import TargetView, view_target_scan
from bids_shresnet.scans import Scan, Shell
from bids_shresnet.version import __version__


@dataclass(frozen=True)
class PictureJob:
    """One harmonized scan.

    Attributes
    ----------
    outputs
        The input scan and the paths of its outputs.
    target
        A scan of the same head on the target scanner; None if there is none.
    """

    outputs: ScanOutputs
    target: Scan | None

    @property
    def scan(self) -> Scan:
        """The input scan."""
        return self.outputs.scan

    @property
    def record_path(self) -> Path:
        """Path of the record of the figures and their numbers."""
        return gallery_path(self.outputs.root, self.scan, self.outputs.label("figures"))

    @property
    def sidecar(self) -> Mapping[str, Any]:
        """Sidecar of the harmonized scan."""
        return dict(read_json(self.outputs.dwi(".json")))

    @property
    def digest(self) -> str:
        """Of all that the figures depend on."""
        segmentation = self.scan.segmentation.files if self.scan.segmentation else ()
        others = [*(self.target.files if self.target else ()), *segmentation]
        there = [hash_file(path) for path in others if path.exists()]
        return hash_record([__version__, self.sidecar["Digest"], there])


def write_pictures(job: PictureJob) -> bool:
    """Write the figures of a scan and their record; False if they were made from the same before."""
    made_from = job.digest
    if is_drawn(job.record_path) and read_json(job.record_path)["MadeFrom"] == made_from:
        return False
    sidecar = job.sidecar["Harmonization"]
    shells = [_model_shells(sidecar, which) for which in ("Source", "Target")]
    before = read_dwi(job.scan)
    mask = read_mask(job.outputs.mask, before.shape, before.affine)
    cut, direction = SliceLayout.from_mask(mask, before.affine), middle_direction(before, shells[0])
    views = {
        BEFORE: view_dwi(before, cut.shown_mask, shells[0], direction),
        AFTER: view_dwi(
            read_dwi(job.outputs.harmonized_scan), cut.shown_mask, shells[1], direction
        ),
    }
    beside, problem = view_target_scan(job.target, before, cut, shells[1], direction)
    if beside:
        views[TARGET] = beside.view
    shown = _read_scan_maps(job, cut, views, beside, sidecar)
    write_gallery(
        job.record_path,
        build_panels(shown),
        {"MadeFrom": made_from, **_map_statistics(job, shown, problem)},
    )
    return True


def _model_shells(sidecar: Mapping[str, Any], role: str) -> tuple[Shell, ...]:
    """Shells of the model, on the source or on the target scanner."""
    return tuple(Shell(shell[f"{role}BValue"], shell["SHOrder"]) for shell in sidecar["Shells"])


def _read_scan_maps(
    job: PictureJob,
    layout: SliceLayout,
    views: Mapping[str, DwiView],
    target_view: TargetView | None,
    sidecar: Mapping[str, Any],
) -> ScanMaps:
    """Put the maps on disk and the views together."""
    maps: dict[str, dict[str, Float[np.ndarray, "x y z"]]] = {
        param: {
            time: read_volume(job.outputs.tensor_map(param, desc))[0]
            for time, desc in ((BEFORE, INPUT_DESC), (AFTER, job.outputs.desc))
        }
        for param in TENSOR_PARAMETERS
    }
    uncertainty = job.outputs.uncertainty
    novelty = read_volume(job.outputs.novelty)[0]
    regions = _find_regions(job, layout, maps, novelty > 0)
    if target_view:
        there = unmask(target_view.measured_mask, layout.shown_mask)
        maps["fa"][TARGET], maps["md"][TARGET] = (
            unmask_with_nan(values, there)
            for values in (target_view.view.tensor.fa, target_view.view.tensor.md)
        )
    return ScanMaps(
        layout=layout,
        **maps,
        views=views,
        target_mask=target_view.measured_mask if target_view else None,
        shells=_model_shells(sidecar, "Source"),
        method=sidecar["Method"],
        regions=regions,
        novelty=novelty,
        uncertainty=read_volume(uncertainty)[0] if uncertainty.exists() else None,
    )


def _find_regions(
    job: PictureJob,
    layout: SliceLayout,
    maps: Mapping[str, Mapping[str, Float[np.ndarray, "x y z"]]],
    signal_mask: Bool[np.ndarray, "x y z"],
) -> tuple[Region, ...]:
    """Tissues of the input's segmentation, else what FA and MD tell apart."""
    if job.scan.segmentation is not None:
        return segmentation_regions(
            read_tissue(job.scan.segmentation, layout.shape, layout.affine),
            layout.mask & signal_mask,
        )
    fa, md = (
        np.mean([maps[param][time] for time in (BEFORE, AFTER)], axis=0) for param in ("fa", "md")
    )
    return tensor_regions(fa, md, layout.mask & signal_mask)


def _map_statistics(job: PictureJob, shown: ScanMaps, problem: str) -> dict[str, Any]:
    """What the pictures show, in numbers."""
    angle = direction_change(shown)
    return {
        "Regions": {
            "From": SEGMENTATION_REGIONS_NOTE if job.scan.segmentation else TENSOR_REGIONS_NOTE,
            "Means": [
                _measure_region(shown, region) for region in shown.regions if region.mask.any()
            ],
        },
        "Angles": {
            "Median": round(float(np.median(angle)), 2) if angle.size else None,
            "Voxels": int(angle.size),
        },
        "Target": {
            "File": job.target.image.name if job.target and TARGET in shown.views else "",
            "Missing": problem,
            "Agreement": _agreement_rows(shown),
        },
    }


def _measure_region(shown: ScanMaps, region: Region) -> dict[str, Any]:
    """Means over a region of the whole brain; MD in mm2/s."""
    fa, md = (
        {time: float(f"{maps[time][region.mask].mean():.5g}") for time in (BEFORE, AFTER)}
        for maps in (shown.fa, shown.md)
    )
    return {"Region": region.name, "Voxels": int(region.mask.sum()), "FA": fa, "MD": md}


def _agreement_rows(shown: ScanMaps) -> list[dict[str, Any]]:
    """Of each quantity and region, before and after; differences of MD in mm2/s."""
    return [
        {
            "Quantity": quantity,
            "Region": region,
            "Time": time,
            **_agreement_statistics(values[TARGET], values[time]),
        }
        for quantity, maps in (("FA", shown.fa), ("MD", shown.md))
        for region, values in paired_values(shown, maps).items()
        for time in (BEFORE, AFTER)
    ]


def _agreement_statistics(
    measured: Float[np.ndarray, " v"], value: Float[np.ndarray, " v"]
) -> dict[str, float]:
    """Of the same voxels."""
    _, bias, spread = summarize_differences(measured, value)
    numbers = {"bias": bias, "spread": spread, "correlation": pearson_correlation(measured, value)}
    return {
        "TargetMean": float(f"{measured.mean():.5g}"),
        **{name: float(f"{number:.4g}") for name, number in numbers.items()},
    }
