"""Draw a harmonized scan before and after, and the target's scan of the same head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from bids_shresnet.diffusion.attenuation import mean_b0
from bids_shresnet.diffusion.measurement_noise import MeasurementNoise, relative_s0
from bids_shresnet.diffusion.shells import find_shell_volumes
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tensors import select_tensor_volumes
from bids_shresnet.io.images.nifti import read_dwi, read_labels, read_mask, read_volume
from bids_shresnet.io.storage import hash_file, hash_record, read_json
from bids_shresnet.outputs.json_records import from_json
from bids_shresnet.outputs.layout import INPUT_DESC, ScanOutputs, TensorParameter, sidecar_path
from bids_shresnet.outputs.sidecars import read_checksum
from bids_shresnet.report.pictures.acquisition import acquisition_record
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
    tissue_overlap,
)
from bids_shresnet.report.pictures.panels import build_panels
from bids_shresnet.report.pictures.regions import (
    NO_TISSUE_NOTE,
    OWN_TISSUE_NOTE,
    TARGET_TISSUE_NOTE,
    Region,
    tissue_regions,
)
from bids_shresnet.report.pictures.scan_maps import AFTER, BEFORE, TARGET, ScanMaps
from bids_shresnet.report.pictures.slices import SliceLayout
from bids_shresnet.report.pictures.target_scan import TargetView, view_target_scan
from bids_shresnet.scans import Dwi, Scan, Shell
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
        tissue = self.target_tissue
        tissue_digest = read_checksum(sidecar_path(tissue)) if tissue else ""
        return hash_record([__version__, self.sidecar["Checksum"], hashes, tissue_digest])

    @property
    def target_tissue(self) -> Path | None:
        """Tissues of the target's scan, if they are written."""
        if self.target is None:
            return None
        tissue = ScanOutputs(self.target, self.outputs.root).tissue
        return tissue if tissue.exists() else None


@dataclass(frozen=True)
class _ScanViews:
    """The voxels in the pictures, as measured and as harmonized.

    Attributes
    ----------
    target
        None if there is no view of the target; `target_problem` then says why.
    s0
        Mean b0 of the scan over its median in the brain.
    """

    layout: SliceLayout
    before: DwiView
    after: DwiView
    target: TargetView | None
    target_problem: str
    s0: Float[np.ndarray, "x y z"]


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
    return {
        "Regions": {"From": _regions_note(scan_maps)},
        "Angles": angle_statistics(scan_maps),
        "Target": {
            "File": job.target.image.name if job.target and views.target else "",
            "Missing": views.target_problem,
            "Agreement": agreement_rows(scan_maps),
            "Registration": _registration_record(scan_maps, views.target),
        },
        "Acquisition": acquisition_record(job.scan, job.target if views.target else None),
    }


def _regions_note(scan_maps: ScanMaps) -> str:
    if scan_maps.target_tissue is not None:
        return TARGET_TISSUE_NOTE
    return OWN_TISSUE_NOTE if scan_maps.tissue is not None else NO_TISSUE_NOTE


def _registration_record(scan_maps: ScanMaps, target: TargetView | None) -> dict[str, Any]:
    """Return how well the target's scan lies on this one; empty without a target."""
    if target is None:
        return {}
    return {
        "RotationDegrees": round(target.rotation_degrees, 2),
        "ShiftMillimetres": round(target.shift_mm, 2),
        "MeasuredShare": round(float(target.measured_mask.mean()), 4),
        "WhiteMatterDice": tissue_overlap(scan_maps),
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
    noise = _noise_variance(model, dwi, shells, layout)
    after = view_dwi(harmonized_dwi, layout.shown_mask, target_shells, direction, noise)
    target, problem = view_target_scan(
        job.target, dwi, layout, target_shells, direction, job.target_tissue
    )
    return _ScanViews(
        layout, before, after, target, problem, relative_s0(mean_b0(dwi), layout.mask)
    )


def _noise_variance(
    model: Mapping[str, Any], dwi: Dwi, shells: Sequence[Shell], layout: SliceLayout
) -> Float[np.ndarray, " v"] | None:
    """Variance of the target's noise, (S/S0)^2; None if the harmonized DWI has noise itself."""
    record = model.get("MeasurementNoise")
    if record is None or record["InDWI"]:
        return None
    noise = from_json(MeasurementNoise, record)
    deviation = unmask(noise.relative_deviation(mean_b0(dwi), layout.mask), layout.mask)
    volumes = np.concatenate(find_shell_volumes(dwi.bvals, shells))
    count = len(select_tensor_volumes(dwi.bvals[volumes], dwi.bvecs[volumes]))
    scaled = deviation[layout.shown_mask] ** 2 * count / noise.direction_count
    return np.asarray(scaled, dtype=np.float32)


def _read_scan_maps(job: PictureJob, model: Mapping[str, Any], views: _ScanViews) -> ScanMaps:
    """Join the maps on disk and the views."""
    layout = views.layout
    fa = _read_tensor_maps(job.outputs, "fa")
    md = _read_tensor_maps(job.outputs, "md")
    novelty = read_volume(job.outputs.novelty)[0]
    tissue = _read_own_tissue(job.outputs, layout)
    regions = _find_regions(tissue, views, novelty > 0)
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
        s0=views.s0,
        tissue=tissue,
        target_tissue=views.target.tissue if views.target else None,
        uncertainty=read_volume(uncertainty)[0] if uncertainty.exists() else None,
    )


def _read_tensor_maps(outputs: ScanOutputs, parameter: TensorParameter) -> Maps:
    before, _ = read_volume(outputs.tensor_map(parameter, INPUT_DESC))
    after, _ = read_volume(outputs.tensor_map(parameter, outputs.desc))
    return {BEFORE: before, AFTER: after}


def _read_own_tissue(outputs: ScanOutputs, layout: SliceLayout) -> Int[np.ndarray, "x y z"] | None:
    """Read the tissues of the scan; None if they are not known."""
    if not outputs.tissue.exists():
        return None
    return read_labels(outputs.tissue, layout.shape, layout.affine)


def _find_regions(
    own_tissue: Int[np.ndarray, "x y z"] | None,
    views: _ScanViews,
    signal_mask: Bool[np.ndarray, "x y z"],
) -> tuple[Region, ...]:
    """Take the tissues of the target's scan if they are known, else those of this scan."""
    layout = views.layout
    tissue = own_tissue
    if views.target and views.target.tissue is not None:
        target_mask = unmask(views.target.measured_mask, layout.shown_mask)
        tissue = unmask(views.target.tissue, target_mask)
    return () if tissue is None else tissue_regions(tissue, layout.mask & signal_mask)
