"""Draw a harmonized scan before and after, and the target's scan of the same head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.inputs.segmentation import read_tissue
from bids_shresnet.io.images.nifti import read_dwi, read_mask, read_volume
from bids_shresnet.io.storage import hash_file, hash_record, read_json
from bids_shresnet.outputs.layout import INPUT_DESC, ScanOutputs, TensorParameter
from bids_shresnet.report.pictures.dwi_view import DwiView, middle_direction, view_dwi
from bids_shresnet.report.pictures.gallery import (
    RECORD_DESC,
    gallery_path,
    is_drawn,
    write_gallery,
)
from bids_shresnet.report.pictures.map_statistics import (
    agreement_rows,
    angle_statistics,
    region_means,
)
from bids_shresnet.report.pictures.panels import build_panels
from bids_shresnet.report.pictures.regions import (
    SEGMENTATION_REGIONS_NOTE,
    TENSOR_REGIONS_NOTE,
    Region,
    segmentation_regions,
    tensor_regions,
)
from bids_shresnet.report.pictures.scan_maps import AFTER, BEFORE, TARGET, ScanMaps
from bids_shresnet.report.pictures.slices import SliceLayout
from bids_shresnet.report.pictures.target_scan import TargetView, view_target_scan
from bids_shresnet.scans import Scan, Shell
from bids_shresnet.version import __version__

Maps = dict[str, Float[np.ndarray, "x y z"]]  # by state: before, after, target


@dataclass(frozen=True)
class PictureJob:
    """One harmonized scan to draw.

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
        return gallery_path(self.outputs.root, self.scan, self.outputs.label(RECORD_DESC))

    @property
    def sidecar(self) -> Mapping[str, Any]:
        """Sidecar of the harmonized scan."""
        return dict(read_json(self.outputs.dwi(".json")))

    @property
    def digest(self) -> str:
        """Digest of everything that the figures depend on."""
        target_files = self.target.files if self.target else ()
        segmentation_files = self.scan.segmentation.files if self.scan.segmentation else ()
        paths = [*target_files, *segmentation_files]
        hashes = [hash_file(path) for path in paths if path.exists()]
        return hash_record([__version__, self.sidecar["Checksum"], hashes])


@dataclass(frozen=True)
class _ScanViews:
    """The voxels in the pictures, as measured and as harmonized.

    Attributes
    ----------
    target
        None if there is no view of the target; `target_problem` then says why.
    """

    layout: SliceLayout
    before: DwiView
    after: DwiView
    target: TargetView | None
    target_problem: str


def write_pictures(job: PictureJob) -> bool:
    """Write the figures of a scan and their record.

    Returns
    -------
    bool
        False if the figures were up to date.
    """
    digest = job.digest
    if is_drawn(job.record_path) and read_json(job.record_path)["MadeFrom"] == digest:
        return False
    model = job.sidecar["Harmonization"]
    views = _view_scans(job, model)
    scan_maps = _read_scan_maps(job, model, views)
    record = {"MadeFrom": digest, **_statistics_record(job, scan_maps, views)}
    write_gallery(job.record_path, build_panels(scan_maps), record)
    return True


def _statistics_record(job: PictureJob, scan_maps: ScanMaps, views: _ScanViews) -> dict[str, Any]:
    has_segmentation = job.scan.segmentation is not None
    return {
        "Regions": {
            "From": SEGMENTATION_REGIONS_NOTE if has_segmentation else TENSOR_REGIONS_NOTE,
            "Means": region_means(scan_maps),
        },
        "Angles": angle_statistics(scan_maps),
        "Target": {
            "File": job.target.image.name if job.target and views.target else "",
            "Missing": views.target_problem,
            "Agreement": agreement_rows(scan_maps),
        },
    }


def _model_shells(model: Mapping[str, Any], scanner: str) -> tuple[Shell, ...]:
    """Shells of the model; the scanner is "Source" or "Target"."""
    return tuple(
        Shell(shell[f"{scanner}BValue"], shell["SHOrder"], shell["SourceDirectionCount"])
        for shell in model["Shells"]
    )


def _view_scans(job: PictureJob, model: Mapping[str, Any]) -> _ScanViews:
    shells = _model_shells(model, "Source")
    target_shells = _model_shells(model, "Target")
    dwi = read_dwi(job.scan)
    layout = SliceLayout.from_mask(read_mask(job.outputs.mask, dwi.shape, dwi.affine), dwi.affine)
    direction = middle_direction(dwi, shells)
    before = view_dwi(dwi, layout.shown_mask, shells, direction)
    harmonized_dwi = read_dwi(job.outputs.harmonized_scan)
    after = view_dwi(harmonized_dwi, layout.shown_mask, target_shells, direction)
    target, problem = view_target_scan(job.target, dwi, layout, target_shells, direction)
    return _ScanViews(layout, before, after, target, problem)


def _read_scan_maps(job: PictureJob, model: Mapping[str, Any], views: _ScanViews) -> ScanMaps:
    """Join the maps on disk and the views."""
    layout = views.layout
    fa = _read_tensor_maps(job.outputs, "fa")
    md = _read_tensor_maps(job.outputs, "md")
    novelty = read_volume(job.outputs.novelty)[0]
    regions = _find_regions(job.scan, layout, novelty > 0, fa, md)
    state_views = {BEFORE: views.before, AFTER: views.after}
    if views.target:
        target_mask = unmask(views.target.measured_mask, layout.shown_mask)
        state_views[TARGET] = views.target.view
        fa[TARGET] = unmask(views.target.view.tensor.fa, target_mask, fill=np.nan)
        md[TARGET] = unmask(views.target.view.tensor.md, target_mask, fill=np.nan)
    uncertainty = job.outputs.uncertainty
    return ScanMaps(
        layout=layout,
        fa=fa,
        md=md,
        views=state_views,
        target_mask=views.target.measured_mask if views.target else None,
        shells=_model_shells(model, "Source"),
        method=model["Method"],
        regions=regions,
        novelty=novelty,
        uncertainty=read_volume(uncertainty)[0] if uncertainty.exists() else None,
    )


def _read_tensor_maps(outputs: ScanOutputs, parameter: TensorParameter) -> Maps:
    before, _ = read_volume(outputs.tensor_map(parameter, INPUT_DESC))
    after, _ = read_volume(outputs.tensor_map(parameter, outputs.desc))
    return {BEFORE: before, AFTER: after}


def _find_regions(
    scan: Scan, layout: SliceLayout, signal_mask: Bool[np.ndarray, "x y z"], fa: Maps, md: Maps
) -> tuple[Region, ...]:
    """Take the tissues of the input's segmentation, or else regions by FA and MD."""
    mask = layout.mask & signal_mask
    if scan.segmentation is not None:
        return segmentation_regions(
            read_tissue(scan.segmentation, layout.shape, layout.affine), mask
        )
    mean_fa = np.mean([fa[BEFORE], fa[AFTER]], axis=0)
    mean_md = np.mean([md[BEFORE], md[AFTER]], axis=0)
    return tensor_regions(mean_fa, mean_md, mask)
