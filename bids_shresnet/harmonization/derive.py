"""Derive FA and MD of a scan before and after harmonization, with one mask and one fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.tensors import TensorMaps, fit_tensor_maps
from bids_shresnet.io.nifti import read_dwi, read_mask
from bids_shresnet.io.storage import read_json, write_json, write_tsv
from bids_shresnet.outputs.images import Volume, write_output
from bids_shresnet.outputs.layout import (
    INPUT_DESC,
    TENSOR_PARAMETERS,
    ScanOutputs,
    TensorParameter,
)
from bids_shresnet.outputs.sidecars import Sidecar, scan_uri
from bids_shresnet.scans import Dwi, Scan

PARAMETER_NAMES: Mapping[TensorParameter, str] = {
    "fa": "Fractional anisotropy",
    "md": "Mean diffusivity",
}
PARAMETER_UNITS: Mapping[TensorParameter, Mapping[str, str]] = {
    "fa": {},
    "md": {"Units": "mm^2/s"},
}
TENSOR_MODEL = {"Description": "Diffusion tensor", "Parameters": {"FitMethod": "wls"}}
QC_COLUMNS = {
    # "dwi" and not "desc": pybids takes the keys of a sidecar for entities
    "dwi": {"Description": "The input, or the harmonized DWI."},
    "brain_volume": {"Description": "Volume of the mask.", "Units": "ml"},
    "fa_mean": {"Description": "Mean fractional anisotropy in the mask."},
    "fa_median": {"Description": "Median fractional anisotropy in the mask."},
    "md_mean": {"Description": "Mean of the mean diffusivity in the mask.", "Units": "mm^2/s"},
    "md_median": {"Description": "Median of the mean diffusivity in the mask.", "Units": "mm^2/s"},
}


@dataclass(frozen=True, kw_only=True)
class TensorInput:
    """A DWI on disk that FA and MD are derived from.

    Attributes
    ----------
    desc
        Label of its maps.
    title
        What their descriptions call it.
    harmonization
        `Harmonization` of its sidecar; None for the input scan.
    """

    scan: Scan
    desc: str
    title: str
    harmonization: Mapping[str, Any] | None = None

    @property
    def predicted_volumes(self) -> list[int]:
        """Indices of the volumes that were predicted and not measured in any form."""
        shells = (self.harmonization or {}).get("PredictedShells", [])
        return [volume for shell in shells for volume in shell["Volumes"]]


def write_tensor_maps(outputs: ScanOutputs) -> bool:
    """Write FA and MD before and after, and a table of their means, unless they are up to date.

    Returns
    -------
    Whether anything was written.
    """
    harmonized_record = read_json(outputs.dwi(".json"))
    checksum = harmonized_record["Checksum"]
    if _is_up_to_date(outputs, checksum):
        return False
    before = TensorInput(scan=outputs.scan, desc=INPUT_DESC, title="input scan")
    after = TensorInput(
        scan=outputs.harmonized_scan,
        desc=outputs.desc,
        title="harmonized scan",
        harmonization=harmonized_record["Harmonization"],
    )
    rows = [_write_maps(outputs, before), _write_maps(outputs, after)]
    write_tsv(outputs.qc_table(), rows)
    write_json(outputs.qc_table(".json"), {**QC_COLUMNS, "HarmonizedChecksum": checksum})
    return True


def _is_up_to_date(outputs: ScanOutputs, harmonized_checksum: list[Mapping[str, str]]) -> bool:
    """Return whether all maps exist and were made from this very harmonized DWI."""
    qc_record = outputs.qc_table(".json")
    before = [outputs.tensor_map(parameter, INPUT_DESC) for parameter in TENSOR_PARAMETERS]
    after = [outputs.tensor_map(parameter, outputs.desc) for parameter in TENSOR_PARAMETERS]
    if not all(path.exists() for path in [qc_record, *before, *after]):
        return False
    return bool(read_json(qc_record).get("HarmonizedChecksum") == harmonized_checksum)


def _write_maps(outputs: ScanOutputs, source: TensorInput) -> dict[str, object]:
    """Write FA and MD of one DWI and return its row of the QC table."""
    dwi = _drop_volumes(read_dwi(source.scan), source.predicted_volumes)
    mask = read_mask(outputs.mask, dwi.shape, dwi.affine)
    maps = fit_tensor_maps(dwi, mask)
    values: dict[TensorParameter, Float[np.ndarray, "x y z"]] = {"fa": maps.fa, "md": maps.md}
    for parameter in TENSOR_PARAMETERS:
        write_output(
            outputs.tensor_map(parameter, source.desc),
            Volume(values[parameter], dwi.affine),
            scan=outputs.scan,
            sidecar=_map_sidecar(outputs, source, parameter),
        )
    return {"dwi": source.desc, **_qc_values(maps, mask, dwi.affine)}


def _drop_volumes(dwi: Dwi, volumes: list[int]) -> Dwi:
    """Return a DWI without some volumes: the input has no predicted shells to compare with."""
    if not volumes:
        return dwi
    kept = np.setdiff1d(np.arange(len(dwi.bvals)), volumes)
    return Dwi(dwi.data[..., kept], dwi.affine, dwi.bvals[kept], dwi.bvecs[kept])


def _qc_values(
    maps: TensorMaps, mask: Bool[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"]
) -> dict[str, float]:
    """Return the volume of the mask and the means and medians inside it, to six digits."""
    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) * 1e-3
    fa = maps.fa[mask]
    md = maps.md[mask]
    values = {
        "brain_volume": round(int(mask.sum()) * voxel_ml, 3),
        "fa_mean": fa.mean(),
        "fa_median": np.median(fa),
        "md_mean": md.mean(),
        "md_median": np.median(md),
    }
    return {name: float(f"{value:.6g}") for name, value in values.items()}


def _map_sidecar(outputs: ScanOutputs, source: TensorInput, parameter: TensorParameter) -> Sidecar:
    """Return the sidecar of a tensor map."""
    fields: dict[str, Any] = {"Model": TENSOR_MODEL, **PARAMETER_UNITS[parameter]}
    if source.harmonization is not None:
        fields["Harmonization"] = source.harmonization
    return Sidecar(
        description=f"{PARAMETER_NAMES[parameter]} of the {source.title}.",
        sources=[scan_uri(source.scan)],
        is_skull_stripped=True,
        scan_metadata=outputs.scan.metadata,
        fields=fields,
    )
