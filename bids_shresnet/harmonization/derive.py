"""Derive: FA and MD of a scan before and after harmonizing, with one mask and one fit, and how they changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.tensors import TensorMaps, fit_tensor_maps
from bids_shresnet.io.nifti import read_dwi, read_mask, write_volume
from bids_shresnet.io.storage import read_json, write_json, write_tsv
from bids_shresnet.outputs.layout import harmonized_scan, output_path
from bids_shresnet.outputs.sidecars import bids_uri, make_sidecar
from bids_shresnet.scans import Dwi, Scan

TENSOR_MAP_DESCRIPTIONS = {"fa": "Fractional anisotropy", "md": "Mean diffusivity"}
TENSOR_MAP_UNITS: Mapping[str, Mapping[str, str]] = {"fa": {}, "md": {"Units": "mm^2/s"}}
QC_COLUMNS = {
    "dwi": {
        "Description": "The input, or the harmonized scan."
    },  # not "desc": pybids takes a sidecar's keys for entities
    "brain_volume": {"Description": "Volume of the mask.", "Units": "ml"},
    "fa_mean": {"Description": "Mean fractional anisotropy in the mask."},
    "fa_median": {"Description": "Median fractional anisotropy in the mask."},
    "md_mean": {"Description": "Mean of the mean diffusivity in the mask.", "Units": "mm^2/s"},
    "md_median": {"Description": "Median of the mean diffusivity in the mask.", "Units": "mm^2/s"},
}


@dataclass(frozen=True)
class DeriveJob:
    """One harmonized scan.

    Attributes
    ----------
    desc
        Of the harmonized DWI.
    """

    scan: Scan
    root: Path
    desc: str

    def output(self, extension: str, *, desc: str, suffix: str, param: str | None = None) -> Path:
        """Name of an output of this scan."""
        model = "tensor" if param else None
        return output_path(
            self.root,
            self.scan,
            desc=desc,
            suffix=suffix,
            extension=extension,
            model=model,
            param=param,
        )


def write_tensor_maps(job: DeriveJob) -> bool:
    """Write the maps and a table of their means; False if they were made from this very harmonized DWI before."""
    made_from = read_json(job.output(".json", desc=job.desc, suffix="dwi"))["Digest"]
    done = job.output(".json", desc=_qc_desc(job), suffix="qc")
    maps = [
        job.output(".nii.gz", desc=desc, suffix="dwimap", param=p)
        for p in TENSOR_MAP_UNITS
        for desc in ("input", job.desc)
    ]
    if (
        all(path.exists() for path in (done, *maps))
        and read_json(done).get("HarmonizedDigest") == made_from
    ):
        return False
    after = harmonized_scan(job.root, job.scan, job.desc)
    rows = [_write_maps(job, job.scan, "input"), _write_maps(job, after, job.desc)]
    write_tsv(job.output(".tsv", desc=_qc_desc(job), suffix="qc"), rows)
    write_json(done, {**QC_COLUMNS, "HarmonizedDigest": made_from})
    return True


def _qc_desc(job: DeriveJob) -> str:
    """The label of the table: as with the maps, one for each target where there are several."""
    return job.desc.replace("harmonized", "harmonization")


def _write_maps(job: DeriveJob, scan: Scan, desc: str) -> dict[str, object]:
    """Write both maps of one DWI and return their summary."""
    dwi = read_dwi(scan) if desc == "input" else _drop_predicted_shells(job, read_dwi(scan))
    path = job.output(".nii.gz", desc="brain", suffix="mask")
    mask = read_mask(path, dwi.shape, dwi.affine)
    maps = fit_tensor_maps(dwi, mask)
    for param, values in (("fa", maps.fa), ("md", maps.md)):
        image = job.output(".nii.gz", desc=desc, suffix="dwimap", param=param)
        write_volume(image, values, dwi.affine, job.scan.image)
        record = _map_sidecar(job, scan, image, param, desc)
        write_json(image.with_name(image.name.replace(".nii.gz", ".json")), record)
    return {"dwi": desc, **_qc_values(maps, mask, dwi.affine)}


def _drop_predicted_shells(job: DeriveJob, dwi: Dwi) -> Dwi:
    """The harmonized DWI without the shells that were predicted: the input has no such, so maps would not compare."""
    record = read_json(job.output(".json", desc=job.desc, suffix="dwi"))["Harmonization"]
    predicted = [
        volume for shell in record.get("PredictedShells", []) for volume in shell["Volumes"]
    ]
    if not predicted:
        return dwi
    kept = np.setdiff1d(np.arange(len(dwi.bvals)), predicted)
    return Dwi(dwi.data[..., kept], dwi.affine, dwi.bvals[kept], dwi.bvecs[kept])


def _qc_values(
    maps: TensorMaps, mask: Bool[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"]
) -> dict[str, float]:
    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) * 1e-3
    numbers = {"brain_volume": round(int(mask.sum()) * voxel_ml, 3)}
    for name, values in (("fa", maps.fa[mask]), ("md", maps.md[mask])):
        numbers |= {
            f"{name}_mean": float(values.mean()),
            f"{name}_median": float(np.median(values)),
        }
    return {name: float(f"{value:.6g}") for name, value in numbers.items()}


def _map_sidecar(job: DeriveJob, scan: Scan, image: Path, param: str, desc: str) -> dict[str, Any]:
    record = {
        "Model": {"Description": "Diffusion tensor", "Parameters": {"FitMethod": "wls"}},
        **TENSOR_MAP_UNITS[param],
    }
    if desc != "input":
        record["Harmonization"] = read_json(job.output(".json", desc=job.desc, suffix="dwi"))[
            "Harmonization"
        ]
    return make_sidecar(
        image,
        description=f"{TENSOR_MAP_DESCRIPTIONS[param]} of the {desc} scan.",
        sources=[bids_uri(scan.image, scan.dataset, scan.dataset_name)],
        is_skull_stripped=True,
        scan_metadata=job.scan.metadata,
        record=record,
    )
