"""Fields that the JSON sidecars of all outputs share, among them which software made them."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from bids_shresnet.io.storage import sha256
from bids_shresnet.version import __version__

PACKAGES = ("numpy", "scipy", "nibabel", "dipy", "pybids", "antspyx", "torch")
# Of the acquisition, what the harmonized signal still is: its timing, its distortion and where it was measured.
STILL_TRUE = (
    *("Manufacturer", "ManufacturersModelName", "DeviceSerialNumber", "StationName", "SoftwareVersions"),
    *("InstitutionName", "MagneticFieldStrength", "ReceiveCoilName", "MRAcquisitionType", "PulseSequenceType"),
    *("EchoTime", "RepetitionTime", "FlipAngle", "PhaseEncodingDirection", "TotalReadoutTime", "EffectiveEchoSpacing"),
    *("ParallelReductionFactorInPlane", "MultibandAccelerationFactor", "PartialFourier", "SliceThickness"),
)


def bids_uri(path: Path, dataset: Path, name: str = "") -> str:
    """Name a file of a dataset, `bids:<name>:<path>`; without a name, a file of the output itself.

    Raises
    ------
    ValueError
        If the file is not inside the dataset.
    """
    return f"bids:{name}:{path.absolute().relative_to(dataset.absolute()).as_posix()}"


def software() -> dict[str, str]:
    """Return the versions of Python, the app and the packages whose version can change numbers; none is imported."""
    versions = {"bids_shresnet": __version__, "python": platform.python_version()}
    return versions | {name: metadata.version(name) for name in PACKAGES}


def sidecar(
    image: Path,
    *,
    description: str,
    sources: Sequence[str],
    skull_stripped: bool,
    acquisition: Mapping[str, Any],
    record: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the JSON that goes beside an image of the output.

    Parameters
    ----------
    image
        The image, already written: its digest is recorded.
    sources
        BIDS URIs of the direct inputs, the scan first: it is what an image with `space-` is aligned to.
    acquisition
        The scan's own metadata; what stays true of the output is taken over.
    record
        Further keys, such as Harmonization, Model, Units or Type.
    """
    spatial = {"SpatialReference": sources[0]} if "_space-" in image.name else {}
    return {
        "Description": description,
        "Sources": list(sources),
        "SkullStripped": skull_stripped,
        **spatial,
        **{key: acquisition[key] for key in STILL_TRUE if key in acquisition},
        **record,
        "Digest": {"SHA-256": sha256(image)},
    }
