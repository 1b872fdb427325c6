"""Fields that the JSON sidecars of all outputs share, among them which software made them."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from bids_shresnet.io.storage import hash_file
from bids_shresnet.version import __version__

REPORTED_PACKAGES = ("numpy", "scipy", "nibabel", "dipy", "pybids", "antspyx", "torch")
# Of the acquisition, what the harmonized signal still is: its timing, its distortion and where it was measured.
INHERITED_METADATA = (
    *(
        "Manufacturer",
        "ManufacturersModelName",
        "DeviceSerialNumber",
        "StationName",
        "SoftwareVersions",
    ),
    *(
        "InstitutionName",
        "MagneticFieldStrength",
        "ReceiveCoilName",
        "MRAcquisitionType",
        "PulseSequenceType",
    ),
    *(
        "EchoTime",
        "RepetitionTime",
        "FlipAngle",
        "PhaseEncodingDirection",
        "TotalReadoutTime",
        "EffectiveEchoSpacing",
    ),
    *(
        "ParallelReductionFactorInPlane",
        "MultibandAccelerationFactor",
        "PartialFourier",
        "SliceThickness",
    ),
)


def bids_uri(path: Path, dataset: Path, name: str = "") -> str:
    """Name a file of a dataset, `bids:<name>:<path>`; without a name, a file of the output itself.

    Raises
    ------
    ValueError
        If the file is not inside the dataset.
    """
    return f"bids:{name}:{path.absolute().relative_to(dataset.absolute()).as_posix()}"


def package_versions() -> dict[str, str]:
    """Return the versions of Python, the app and the packages whose version can change numbers; none is imported."""
    versions = {"bids_shresnet": __version__, "python": platform.python_version()}
    return versions | {name: metadata.version(name) for name in REPORTED_PACKAGES}


def make_sidecar(
    image: Path,
    *,
    description: str,
    sources: Sequence[str],
    is_skull_stripped: bool,
    scan_metadata: Mapping[str, Any],
    record: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the JSON that goes beside an image of the output.

    Parameters
    ----------
    image
        The image, already written: its digest is recorded.
    sources
        BIDS URIs of the direct inputs, the scan first: it is what an image with `space-` is aligned to.
    scan_metadata
        The scan's own metadata; what stays true of the output is taken over.
    record
        Further keys, such as Harmonization, Model, Units or Type.
    """
    spatial = {"SpatialReference": sources[0]} if "_space-" in image.name else {}
    return {
        "Description": description,
        "Sources": list(sources),
        "SkullStripped": is_skull_stripped,
        **spatial,
        **{key: scan_metadata[key] for key in INHERITED_METADATA if key in scan_metadata},
        **record,
        "Digest": {"SHA-256": hash_file(image)},
    }
