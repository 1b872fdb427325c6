"""Quality of one scan of the analysis set: a table of its maps, and what a group table needs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from bids_shresnet.diffusion.representation import Representation
from bids_shresnet.diffusion.tensors import TensorMaps
from bids_shresnet.errors import BadInput
from bids_shresnet.harmonization.sidecars import tissue_sidecar
from bids_shresnet.harmonization.tensor_outputs import MapPair
from bids_shresnet.inputs.acquisition import find_mask_method
from bids_shresnet.inputs.load_scan import LoadedScan
from bids_shresnet.inputs.tissue import segment_tissue
from bids_shresnet.io.storage import remove_file, write_json, write_tsv
from bids_shresnet.outputs.group_qc import MAP_TITLES, SCAN_KEY, describe_map_column
from bids_shresnet.outputs.images import Volume, write_output
from bids_shresnet.outputs.layout import ScanOutputs, sidecar_path
from bids_shresnet.outputs.stamps import stamp_files
from bids_shresnet.scans import Scan, Tissue

MAX_PLAUSIBLE_MD = 3.2e-3  # mm2/s; free water at body temperature has 3.0e-3
MAX_BRAIN_ML = 1600.0  # of a computed mask; a large brain with its CSF
DIGITS = 6
TISSUES = (Tissue.WM, Tissue.GM)
QC_COLUMNS: Mapping[str, Mapping[str, str]] = {
    # "dwi" and not "desc": pybids takes the keys of a sidecar for entities
    "dwi": {"Description": "The input or the harmonized DWI, by the `desc` of its maps."},
    "brain_volume": {"Description": "Volume of the mask.", "Units": "ml"},
    "fa_mean": {"Description": "Mean fractional anisotropy in the mask."},
    "fa_median": {"Description": "Median fractional anisotropy in the mask."},
    "md_mean": {"Description": "Mean of the mean diffusivity in the mask.", "Units": "mm^2/s"},
    "md_median": {"Description": "Median of the mean diffusivity in the mask.", "Units": "mm^2/s"},
    "implausible_md": {
        "Description": f"Voxels of the mask with a mean diffusivity above {MAX_PLAUSIBLE_MD:g} "
        "mm^2/s, which is more than that of water."
    },
}
TISSUE_COLUMNS = {name: describe_map_column(name) for name in MAP_TITLES}

logger = logging.getLogger(__name__)


def write_scan_qc(
    outputs: ScanOutputs,
    pairs: Sequence[MapPair],
    scan: LoadedScan,
    representation: Representation,
    record: Mapping[str, Any],
    *,
    stamped: Sequence[Path] = (),
) -> None:
    """Write a table with one row per pair of maps, and its description with a record of the scan.

    `record` holds the role of the scan and what else is known of it. The description is the stamp
    of the files in `stamped`, if there are any.
    """
    _warn_of_large_mask(outputs.scan, scan)
    tissue = _own_tissue(outputs.scan, scan, representation)
    _write_tissue(outputs, scan, tissue)
    rows = []
    for pair in pairs:
        values = _map_values(pair.maps, scan.mask, scan.dwi.affine)
        means = _tissue_means(pair.maps, scan.mask, tissue)
        rows.append({"dwi": pair.desc, **values, **means})
    columns = {**QC_COLUMNS, **TISSUE_COLUMNS}
    write_tsv(outputs.qc_table(), rows, list(columns))
    known = {
        "File": outputs.scan.image.name,
        "Subject": outputs.scan.subject,
        "Session": outputs.scan.session,
        "Scanner": outputs.scan.scanner_label,
        "MaskMethod": find_mask_method(outputs.scan),
        "ClippedSignal": round(representation.clipped_share, DIGITS),
        **_noise_level(representation),
    }
    description = {**columns, SCAN_KEY: {**known, **record}}
    if stamped:
        files = [*stamped, *outputs.tissue_files, outputs.qc_table()]
        description |= stamp_files(files, outputs.root)
    write_json(outputs.qc_table(".json"), description)


def _warn_of_large_mask(scan: Scan, loaded: LoadedScan) -> None:
    """Warn if a computed mask is larger than a brain."""
    volume = int(loaded.mask.sum()) * _voxel_ml(loaded.dwi.affine)
    if scan.mask is None and volume > MAX_BRAIN_ML:
        logger.warning(
            "%s: the computed brain mask holds %.0f ml, more than a brain: eyes or sinuses may be "
            "in it; give a mask with -d (desc-brain_mask)",
            scan.image.name,
            volume,
        )


def _own_tissue(
    scan: Scan, loaded: LoadedScan, representation: Representation
) -> Int[np.ndarray, "x y z"] | None:
    """Segment the scan; None with a warning if its segmentation cannot be right."""
    try:
        return segment_tissue(scan, loaded, representation)
    except BadInput as error:
        logger.warning("%s: no means of tissues: %s", scan.image.name, error)
        return None


def _write_tissue(
    outputs: ScanOutputs, scan: LoadedScan, tissue: Int[np.ndarray, "x y z"] | None
) -> None:
    """Write the tissues in the mask with the table of their names; remove those of earlier runs."""
    table = sidecar_path(outputs.tissue).with_suffix(".tsv")
    for path in (outputs.tissue, sidecar_path(outputs.tissue), table):
        remove_file(path)
    if tissue is None:
        return
    write_tsv(table, [{"index": label.value, "name": label.name} for label in Tissue])
    labels = Volume(np.where(scan.mask, tissue, 0).astype(np.uint8), scan.dwi.affine)
    sidecar = tissue_sidecar(outputs.scan)
    write_output(outputs.tissue, labels, scan=outputs.scan, sidecar=sidecar)


def _map_values(
    maps: TensorMaps, mask: Bool[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"]
) -> dict[str, float]:
    """Volume of the mask, and means and medians inside it."""
    voxel_ml = _voxel_ml(affine)
    fa = maps.fa[mask]
    md = maps.md[mask]
    return {
        "brain_volume": round(int(mask.sum()) * voxel_ml, 3),
        "fa_mean": _round(fa.mean()),
        "fa_median": _round(np.median(fa)),
        "md_mean": _round(md.mean()),
        "md_median": _round(np.median(md)),
        "implausible_md": int((md > MAX_PLAUSIBLE_MD).sum()),
    }


def _tissue_means(
    maps: TensorMaps, mask: Bool[np.ndarray, "x y z"], tissue: Int[np.ndarray, "x y z"] | None
) -> dict[str, float]:
    """Means of FA and MD in each tissue; nothing for a tissue without voxels."""
    if tissue is None:
        return {}
    means = {}
    for label in TISSUES:
        voxels = mask & (tissue == label)
        if voxels.any():
            means[f"{label.name.lower()}_fa"] = _round(maps.fa[voxels].mean())
            means[f"{label.name.lower()}_md"] = _round(maps.md[voxels].mean())
    return means


def _noise_level(representation: Representation) -> dict[str, float]:
    """Median standard deviation of the noise in one value of S/S0; nothing if it is not known."""
    level = float(np.sqrt(np.median(representation.noise_variance)))
    return {"NoiseLevel": _round(level)} if np.isfinite(level) else {}


def _voxel_ml(affine: Float[np.ndarray, "4 4"]) -> float:
    return abs(float(np.linalg.det(affine[:3, :3]))) * 1e-3


def _round(value: float | np.floating) -> float:
    return float(f"{value:.{DIGITS}g}")
