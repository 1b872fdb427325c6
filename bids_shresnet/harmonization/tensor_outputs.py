"""Write FA and MD of a scan before and after harmonization, and a table of their means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.tensors import TensorMaps, fit_tensor_maps, tensor_bvalues
from bids_shresnet.harmonization.harmonized_scan import HarmonizedScan
from bids_shresnet.inputs.load_scan import LoadedScan
from bids_shresnet.io.storage import write_json, write_tsv
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
INPUT_TITLE = "of the input scan, with the same fit as those of the harmonized scan"
COMPARABLE_TITLE = (
    "of the harmonized scan as the target scanner's own maps would show it, with the target's "
    "noise (mean over draws): compare it with the target scanner's own maps"
)
KEPT_NOISE_TITLE = (
    "of the harmonized scan with the noise that it has: compare it with the target scanner's own "
    "maps, which have the target's noise"
)
DENOISED_TITLE = (
    "of the harmonized scan without noise, for single scans: do not compare it with maps that have "
    "noise, such as the target scanner's own"
)
MAX_PLAUSIBLE_MD = 3.2e-3  # mm2/s; free water at body temperature has 3.0e-3
QC_COLUMNS = {
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


@dataclass(frozen=True, kw_only=True)
class MapPair:
    """FA and MD of one DWI.

    Attributes
    ----------
    desc
        Label of the files.
    title
        What their descriptions say after the name of the quantity.
    source
        The scan on disk that they belong to.
    bvalues
        Shells that were fitted, s/mm2.
    harmonization
        `Harmonization` of its sidecar; None for the input scan.
    """

    maps: TensorMaps
    desc: str
    title: str
    source: Scan
    bvalues: tuple[float, ...]
    harmonization: Mapping[str, Any] | None = None


def write_tensor_maps(
    outputs: ScanOutputs, scan: LoadedScan, harmonized: HarmonizedScan, record: Mapping[str, Any]
) -> None:
    """Write FA and MD before and after, and a table of their means.

    `record` is the `Harmonization` of the sidecars.
    """
    rows = []
    for pair in _make_map_pairs(outputs, scan, harmonized, record):
        _write_pair(outputs, pair, scan.dwi.affine)
        rows.append({"dwi": pair.desc, **_qc_values(pair.maps, scan.mask, scan.dwi.affine)})
    write_tsv(outputs.qc_table(), rows)
    write_json(outputs.qc_table(".json"), QC_COLUMNS)


def _make_map_pairs(
    outputs: ScanOutputs, scan: LoadedScan, harmonized: HarmonizedScan, record: Mapping[str, Any]
) -> Iterator[MapPair]:
    """Yield the maps of the input and of the harmonized scan, without noise as well if it can."""
    yield MapPair(
        maps=fit_tensor_maps(scan.dwi, scan.mask),
        desc=INPUT_DESC,
        title=INPUT_TITLE,
        source=outputs.scan,
        bvalues=_fitted_bvalues(scan.dwi),
    )
    bvalues = _fitted_bvalues(harmonized.measured_signal)
    after = [(outputs.desc, harmonized.maps, _comparable_title(harmonized))]
    if harmonized.denoised_maps is not None:
        after.append((outputs.denoised_desc, harmonized.denoised_maps, DENOISED_TITLE))
    for desc, maps, title in after:
        yield MapPair(
            maps=maps,
            desc=desc,
            title=title,
            source=outputs.harmonized_scan,
            bvalues=bvalues,
            harmonization=record,
        )


def _comparable_title(harmonized: HarmonizedScan) -> str:
    if harmonized.noise_model is not None:
        return COMPARABLE_TITLE
    return DENOISED_TITLE if harmonized.is_denoised else KEPT_NOISE_TITLE


def _fitted_bvalues(dwi: Dwi) -> tuple[float, ...]:
    return tuple(round(bvalue, 1) for bvalue in tensor_bvalues(dwi.bvals, dwi.bvecs))


def _write_pair(outputs: ScanOutputs, pair: MapPair, affine: Float[np.ndarray, "4 4"]) -> None:
    values: dict[TensorParameter, Float[np.ndarray, "x y z"]] = {
        "fa": pair.maps.fa,
        "md": pair.maps.md,
    }
    for parameter in TENSOR_PARAMETERS:
        write_output(
            outputs.tensor_map(parameter, pair.desc),
            Volume(values[parameter], affine),
            scan=outputs.scan,
            sidecar=_map_sidecar(outputs, pair, parameter),
        )


def _map_sidecar(outputs: ScanOutputs, pair: MapPair, parameter: TensorParameter) -> Sidecar:
    """Return the sidecar of a tensor map."""
    model = {
        "Description": "Diffusion tensor",
        "Parameters": {"FitMethod": "wls", "BValues": list(pair.bvalues)},
    }
    fields: dict[str, Any] = {"Model": model, **PARAMETER_UNITS[parameter]}
    if pair.harmonization is not None:
        fields["Harmonization"] = pair.harmonization
    return Sidecar(
        description=f"{PARAMETER_NAMES[parameter]} {pair.title}.",
        sources=[scan_uri(pair.source)],
        is_skull_stripped=True,
        scan_metadata=outputs.scan.metadata,
        fields=fields,
    )


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
    rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
    return rounded | {"implausible_md": int((md > MAX_PLAUSIBLE_MD).sum())}
