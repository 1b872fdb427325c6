"""How a scan and the target's scan of the same subject were acquired, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from bids_shresnet.inputs.acquisition import read_acquisition
from bids_shresnet.io.images.nifti_header import read_grid
from bids_shresnet.scans import B0_THRESHOLD, Acquisition, Scan

TIMES = "\N{MULTIPLICATION SIGN}"
BVALUE_STEP = 50  # s/mm2; b-values are rounded to it to count directions
METADATA_TITLES: Mapping[str, str] = {
    "Manufacturer": "Manufacturer",
    "ManufacturersModelName": "Model",
    "SoftwareVersions": "Software",
    "MagneticFieldStrength": "Field strength (T)",
    "ReceiveCoilName": "Receive coil",
    "RepetitionTime": "Repetition time (s)",
    "EchoTime": "Echo time (s)",
    "PhaseEncodingDirection": "Phase encoding",
    "TotalReadoutTime": "Total readout time (s)",
    "MultibandAccelerationFactor": "Multiband factor",
    "ParallelReductionFactorInPlane": "In-plane acceleration",
    "PartialFourier": "Partial Fourier",
}


def acquisition_record(scan: Scan, target: Scan | None) -> list[dict[str, str]]:
    """Return a row per property with the values of the scan and of the target's scan.

    Properties that neither scan states are omitted.
    """
    own = _describe_scan(scan)
    other = _describe_scan(target) if target else {}
    return [
        {"Property": title, "Scan": own.get(title, ""), "Target": other.get(title, "")}
        for title in {**own, **other}
    ]


def _describe_scan(scan: Scan) -> dict[str, str]:
    """Describe a scan by the titles of its properties."""
    titles = ((key, title) for key, title in METADATA_TITLES.items() if key in scan.metadata)
    stated = {title: str(scan.metadata[key]) for key, title in titles}
    acquisition = read_acquisition(scan)
    preparation = {
        "Brain mask": acquisition.mask_method,
        "Noise removed before": acquisition.denoised,
    }
    return {**_describe_grid(scan, acquisition), **stated, **preparation}


def _describe_grid(scan: Scan, acquisition: Acquisition) -> dict[str, str]:
    """Describe voxels and volumes."""
    shape, _ = read_grid(scan.image)
    return {
        "Voxel size (mm)": f" {TIMES} ".join(f"{size:g}" for size in acquisition.voxel_size),
        "Matrix": f" {TIMES} ".join(map(str, shape[:3])),
        "Volumes": str(len(scan.bvals)),
        f"Directions {TIMES} b (s/mm²)": _describe_shells(scan.bvals),
        "b = 0 volumes": str(acquisition.b0_count),
    }


def _describe_shells(bvals: tuple[float, ...]) -> str:
    """Count the directions of each b-value, rounded."""
    weighted = (bvalue for bvalue in bvals if bvalue >= B0_THRESHOLD)
    counts = Counter(BVALUE_STEP * round(bvalue / BVALUE_STEP) for bvalue in weighted)
    return ", ".join(f"{count} {TIMES} {bvalue}" for bvalue, count in sorted(counts.items()))
