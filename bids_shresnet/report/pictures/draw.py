"""Picture: a harmonized scan, before and after, and the target's scan of the same head -> figures and their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.regions import BY_MAPS, BY_TISSUE, Region, of_maps, of_tissue
from bids_shresnet.diffusion.representation import in_mask
from bids_shresnet.diffusion.views import View, look_at, middle_direction
from bids_shresnet.evaluation.agreement import correlation, differences
from bids_shresnet.inputs.segmentation import read_tissue
from bids_shresnet.io.nifti import read_dwi, read_mask, read_volume
from bids_shresnet.io.storage import digest, read_json, sha256
from bids_shresnet.outputs.layout import harmonized_scan, output_path
from bids_shresnet.report.pictures.gallery import gallery_path, is_drawn, write_gallery
from bids_shresnet.report.pictures.panels import panels_of
from bids_shresnet.report.pictures.scan_maps import AFTER, BEFORE, TARGET, Pictured, compared, placed, turned
from bids_shresnet.report.pictures.slices import Cut
from bids_shresnet.report.pictures.target_scan import Beside, look_beside
from bids_shresnet.scans import Scan, Shell
from bids_shresnet.version import __version__


@dataclass(frozen=True)
class PictureJob:
    """One harmonized scan.

    Attributes
    ----------
    target
        The same head on the target scanner; None where it was not scanned there.
    desc
        Of the harmonized DWI.
    """

    scan: Scan
    target: Scan | None
    root: Path
    desc: str

    @property
    def after(self) -> Scan:
        """The harmonized scan."""
        return harmonized_scan(self.root, self.scan, self.desc)

    @property
    def record(self) -> Path:
        """What the figures show, and their numbers."""
        return gallery_path(self.root, self.scan, self.desc.replace("harmonized", "figures"))

    def map(self, name: str, param: str | None = None) -> Path:
        """A map of the scan: `desc` and, of tensor maps, the parameter."""
        desc = self.desc.replace("harmonized", name) if param is None else name
        model = "tensor" if param else None
        return output_path(
            self.root, self.scan, desc=desc, suffix="dwimap", extension=".nii.gz", model=model, param=param
        )

    @property
    def harmonization(self) -> Mapping[str, Any]:
        """What the sidecar of the harmonized scan says."""
        path = output_path(self.root, self.scan, desc=self.desc, suffix="dwi", extension=".json")
        return dict(read_json(path))

    @property
    def digest(self) -> str:
        """Of all that the figures depend on."""
        segmentation = self.scan.segmentation.files if self.scan.segmentation else ()
        others = [*(self.target.files if self.target else ()), *segmentation]
        there = [sha256(path) for path in others if path.exists()]
        return digest([__version__, self.harmonization["Digest"], there])


def picture(job: PictureJob) -> bool:
    """Write the figures of a scan and their record; False if they were made from the same before."""
    made_from = job.digest
    if is_drawn(job.record) and read_json(job.record)["MadeFrom"] == made_from:
        return False
    sidecar = job.harmonization["Harmonization"]
    shells = [_shells(sidecar, which) for which in ("Source", "Target")]
    before = read_dwi(job.scan)
    mask = read_mask(
        output_path(job.root, job.scan, desc="brain", suffix="mask", extension=".nii.gz"), before.shape, before.affine
    )
    cut, direction = Cut.through(mask, before.affine), middle_direction(before, shells[0])
    views = {
        BEFORE: look_at(before, cut.seen, shells[0], direction),
        AFTER: look_at(read_dwi(job.after), cut.seen, shells[1], direction),
    }
    beside, problem = look_beside(job.target, before, cut, shells[1], direction)
    if beside:
        views[TARGET] = beside.view
    shown = _pictured(job, cut, views, beside, sidecar)
    write_gallery(job.record, panels_of(shown), {"MadeFrom": made_from, **_numbers(job, shown, problem)})
    return True


def _shells(sidecar: Mapping[str, Any], which: str) -> tuple[Shell, ...]:
    """Shells of the model, on the source or on the target scanner."""
    return tuple(Shell(shell[f"{which}BValue"], shell["SHOrder"]) for shell in sidecar["Shells"])


def _pictured(
    job: PictureJob, cut: Cut, views: Mapping[str, View], beside: Beside | None, sidecar: Mapping[str, Any]
) -> Pictured:
    """Put the maps on disk and the views together."""
    maps = {
        param: {time: read_volume(job.map(desc, param))[0] for time, desc in ((BEFORE, "input"), (AFTER, job.desc))}
        for param in ("fa", "md")
    }
    uncertainty, novelty = job.map("uncertainty"), read_volume(job.map("novelty"))[0]
    regions = _regions(job, cut, maps, novelty > 0)
    if beside:
        there = in_mask(beside.known, cut.seen)
        maps["fa"][TARGET], maps["md"][TARGET] = (
            placed(values, there) for values in (beside.view.tensor.fa, beside.view.tensor.md)
        )
    return Pictured(
        cut=cut,
        **maps,
        views=views,
        known=beside.known if beside else None,
        shells=_shells(sidecar, "Source"),
        method=sidecar["Method"],
        regions=regions,
        novelty=novelty,
        uncertainty=read_volume(uncertainty)[0] if uncertainty.exists() else None,
    )


def _regions(
    job: PictureJob,
    cut: Cut,
    maps: Mapping[str, Mapping[str, Float[np.ndarray, "x y z"]]],
    judged: Bool[np.ndarray, "x y z"],
) -> tuple[Region, ...]:
    """Tissues of the input's segmentation, else what FA and MD tell apart."""
    if job.scan.segmentation is not None:
        return of_tissue(read_tissue(job.scan.segmentation, cut.shape, cut.affine), cut.mask & judged)
    fa, md = (np.mean([maps[param][time] for time in (BEFORE, AFTER)], axis=0) for param in ("fa", "md"))
    return of_maps(fa, md, cut.mask & judged)


def _numbers(job: PictureJob, shown: Pictured, problem: str) -> dict[str, Any]:
    """What the pictures show, in numbers."""
    angle = turned(shown)
    return {
        "Regions": {
            "From": BY_TISSUE if job.scan.segmentation else BY_MAPS,
            "Means": [_means(shown, region) for region in shown.regions if region.mask.any()],
        },
        "Angles": {"Median": round(float(np.median(angle)), 2) if angle.size else None, "Voxels": int(angle.size)},
        "Target": {
            "File": job.target.image.name if job.target and TARGET in shown.views else "",
            "Missing": problem,
            "Agreement": _agreements(shown),
        },
    }


def _means(shown: Pictured, region: Region) -> dict[str, Any]:
    """Means over a region of the whole brain; MD in mm2/s."""
    fa, md = (
        {time: float(f"{maps[time][region.mask].mean():.5g}") for time in (BEFORE, AFTER)}
        for maps in (shown.fa, shown.md)
    )
    return {"Region": region.name, "Voxels": int(region.mask.sum()), "FA": fa, "MD": md}


def _agreements(shown: Pictured) -> list[dict[str, Any]]:
    """Of each quantity and region, before and after; differences of MD in mm2/s."""
    return [
        {"Quantity": quantity, "Region": region, "Time": time, **_agreement(values[TARGET], values[time])}
        for quantity, maps in (("FA", shown.fa), ("MD", shown.md))
        for region, values in compared(shown, maps).items()
        for time in (BEFORE, AFTER)
    ]


def _agreement(measured: Float[np.ndarray, " v"], value: Float[np.ndarray, " v"]) -> dict[str, float]:
    """Of the same voxels."""
    _, bias, spread = differences(measured, value)
    numbers = {"bias": bias, "spread": spread, "correlation": correlation(measured, value)}
    return {
        "TargetMean": float(f"{measured.mean():.5g}"),
        **{name: float(f"{number:.4g}") for name, number in numbers.items()},
    }
