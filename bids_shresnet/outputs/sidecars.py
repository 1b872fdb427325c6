"""Fields that the JSON sidecars of all outputs share, among them the software that made them."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from bids_shresnet.errors import BadInput
from bids_shresnet.io.storage import hash_file, read_json
from bids_shresnet.scans import Scan
from bids_shresnet.version import __version__

SHA256_NAME = "spdx:checksumAlgorithm_sha256"  # as the draft of BEP028 spells it
REPORTED_PACKAGES = ("numpy", "scipy", "nibabel", "dipy", "pybids", "antspyx", "torch")
# Metadata of the acquisition that stay true of the harmonized signal: the scanner and site, the
# timing and the distortion.
INHERITED_METADATA = (
    "Manufacturer",
    "ManufacturersModelName",
    "DeviceSerialNumber",
    "StationName",
    "SoftwareVersions",
    "InstitutionName",
    "MagneticFieldStrength",
    "ReceiveCoilName",
    "MRAcquisitionType",
    "PulseSequenceType",
    "EchoTime",
    "RepetitionTime",
    "FlipAngle",
    "PhaseEncodingDirection",
    "TotalReadoutTime",
    "EffectiveEchoSpacing",
    "ParallelReductionFactorInPlane",
    "MultibandAccelerationFactor",
    "PartialFourier",
    "SliceThickness",
)


@dataclass(frozen=True, kw_only=True)
class Sidecar:
    """The JSON that goes beside an output image.

    Attributes
    ----------
    sources
        BIDS URIs of the direct inputs, the scan first: an image with `space-` is aligned to it.
    scan_metadata
        Metadata of the scan; what stays true of the output is copied.
    fields
        Further keys, such as Harmonization, Model, Units or Type.
    """

    description: str
    sources: Sequence[str]
    is_skull_stripped: bool
    scan_metadata: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self, image: Path) -> dict[str, Any]:
        """Return the content for an image that is already written, with the image's checksum."""
        spatial = {"SpatialReference": self.sources[0]} if "_space-" in image.name else {}
        inherited = {
            key: self.scan_metadata[key] for key in INHERITED_METADATA if key in self.scan_metadata
        }
        return {
            "Description": self.description,
            "Sources": list(self.sources),
            "SkullStripped": self.is_skull_stripped,
            **spatial,
            **inherited,
            **self.fields,
            "Checksum": _checksums(image),
        }


def scan_uri(scan: Scan) -> str:
    """Return the BIDS URI of a scan's image."""
    return bids_uri(scan.image, scan.dataset, scan.dataset_name)


def bids_uri(path: Path, dataset: Path, name: str = "") -> str:
    """Return the BIDS URI `bids:<name>:<path>`; without a name, of a file of the output itself.

    Raises
    ------
    ValueError
        If the file is not inside the dataset.
    """
    return f"bids:{name}:{path.absolute().relative_to(dataset.absolute()).as_posix()}"


def package_versions() -> dict[str, str]:
    """Return the versions of Python, the app and the packages that can change numbers.

    None of them is imported.
    """
    versions = {"bids_shresnet": __version__, "python": platform.python_version()}
    return versions | {name: metadata.version(name) for name in REPORTED_PACKAGES}


def read_checksum(sidecar: Path) -> str:
    """Read the SHA-256 of the image from its sidecar; empty if it has none or is damaged."""
    try:
        return str(read_json(sidecar)["Checksum"][0]["ChecksumValue"])
    except (OSError, BadInput, ValueError, TypeError, LookupError):
        return ""


def _checksums(file: Path) -> list[dict[str, str]]:
    return [{"ChecksumAlgorithm": SHA256_NAME, "ChecksumValue": hash_file(file)}]
