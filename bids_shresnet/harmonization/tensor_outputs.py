"""Write FA and MD of a scan before and after harmonization."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.representation import Representation, find_represented_volumes
from bids_shresnet.diffusion.tensors import TensorMaps, fit_tensor_maps, tensor_bvalues
from bids_shresnet.harmonization.harmonized_scan import HarmonizedScan
from bids_shresnet.harmonization.sidecars import COVERAGE_KEY
from bids_shresnet.inputs.load_scan import LoadedScan
from bids_shresnet.outputs.images import Volume, write_output
from bids_shresnet.outputs.layout import (
    INPUT_DESC,
    TENSOR_PARAMETERS,
    ScanOutputs,
    TensorParameter,
)
from bids_shresnet.outputs.sidecars import Sidecar, scan_uri
from bids_shresnet.scans import Scan

PARAMETER_NAMES: Mapping[TensorParameter, str] = {
    "fa": "Fractional anisotropy",
    "md": "Mean diffusivity",
}
PARAMETER_UNITS: Mapping[TensorParameter, Mapping[str, str]] = {
    "fa": {},
    "md": {"Units": "mm^2/s"},
}
# Of the record of a harmonization: the sidecar of the DWI, which `Sources` names, has all of it
RECORD_KEYS = (
    "Method",
    "MethodName",
    "Model",
    "ModelSHA256",
    "SourceScanner",
    "TargetScanner",
    "SubjectInTraining",
    "Network",
    "MeasurementNoise",
)
DISPLAY_MAXIMA: Mapping[TensorParameter, float] = {"fa": 1.0, "md": 3e-3}  # free water, mm2/s
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
UNCERTAINTY_TITLE = (
    "of the target scanner about that of the harmonized scan, as a standard deviation; without the "
    f"noise of a measurement; half of a 95 % interval is {COVERAGE_KEY} times the map, if it is "
    "known"
)


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
    record
        Further keys of the sidecars: how the DWI was made.
    """

    maps: TensorMaps
    desc: str
    title: str
    source: Scan
    bvalues: tuple[float, ...]
    record: Mapping[str, Any] = field(default_factory=dict)


def input_pair(
    outputs: ScanOutputs,
    scan: LoadedScan,
    representation: Representation,
    title: str = INPUT_TITLE,
) -> MapPair:
    """Fit the represented shells of the scan as measured."""
    volumes = find_represented_volumes(scan.dwi, representation)
    return MapPair(
        maps=fit_tensor_maps(scan.dwi, scan.mask, volumes),
        desc=INPUT_DESC,
        title=title,
        source=outputs.scan,
        bvalues=fitted_bvalues(scan.dwi.bvals[volumes], scan.dwi.bvecs[volumes]),
    )


def harmonized_pairs(
    outputs: ScanOutputs, harmonized: HarmonizedScan, record: Mapping[str, Any]
) -> Iterator[MapPair]:
    """Yield the maps of the harmonized scan, those without noise and their uncertainty, if known.

    `record` is the `Harmonization` of the DWI's sidecar, of which theirs repeat `RECORD_KEYS`.
    """
    after = [(outputs.desc, harmonized.maps, _comparable_title(harmonized))]
    if harmonized.denoised_maps is not None:
        after.append((outputs.denoised_desc, harmonized.denoised_maps, DENOISED_TITLE))
    if harmonized.uncertainty is not None:
        deviations = TensorMaps(fa=harmonized.uncertainty.fa, md=harmonized.uncertainty.md)
        after.append((outputs.uncertainty_desc, deviations, UNCERTAINTY_TITLE))
    measured = harmonized.measured_signal
    for desc, maps, title in after:
        is_uncertainty = desc == outputs.uncertainty_desc
        keys = [*RECORD_KEYS, *([COVERAGE_KEY] if is_uncertainty else [])]
        yield MapPair(
            maps=maps,
            desc=desc,
            title=title,
            source=outputs.harmonized_scan,
            bvalues=fitted_bvalues(measured.bvals, measured.bvecs),
            record={"Harmonization": {key: record[key] for key in keys if key in record}},
        )


def _comparable_title(harmonized: HarmonizedScan) -> str:
    if harmonized.noise_model is not None:
        return COMPARABLE_TITLE
    return DENOISED_TITLE if harmonized.is_denoised else KEPT_NOISE_TITLE


def fitted_bvalues(
    bvals: Float[np.ndarray, " n"], bvecs: Float[np.ndarray, "n 3"]
) -> tuple[float, ...]:
    """b-values that a tensor fit of these volumes uses, s/mm2, for sidecars."""
    return tuple(round(bvalue, 1) for bvalue in tensor_bvalues(bvals, bvecs))


def write_map_pair(outputs: ScanOutputs, pair: MapPair, affine: Float[np.ndarray, "4 4"]) -> None:
    """Write FA and MD with their sidecars."""
    values: dict[TensorParameter, Float[np.ndarray, "x y z"]] = {
        "fa": pair.maps.fa,
        "md": pair.maps.md,
    }
    for parameter in TENSOR_PARAMETERS:
        write_output(
            outputs.tensor_map(parameter, pair.desc),
            Volume(values[parameter], affine, DISPLAY_MAXIMA[parameter]),
            scan=outputs.scan,
            sidecar=_map_sidecar(outputs, pair, parameter),
        )


def _map_sidecar(outputs: ScanOutputs, pair: MapPair, parameter: TensorParameter) -> Sidecar:
    """Return the sidecar of a tensor map."""
    model = {
        "Description": "Diffusion tensor",
        "Parameters": {"FitMethod": "wls", "BValues": list(pair.bvalues)},
    }
    return Sidecar(
        description=f"{PARAMETER_NAMES[parameter]} {pair.title}.",
        sources=[scan_uri(pair.source)],
        is_skull_stripped=True,
        scan_metadata=outputs.scan.metadata,
        fields={"Model": model, **PARAMETER_UNITS[parameter], **pair.record},
    )
