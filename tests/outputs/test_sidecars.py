from __future__ import annotations

import hashlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from bids_shresnet.outputs.sidecars import Sidecar, bids_uri, package_versions

SOURCES = ["bids:raw:sub-01/dwi/sub-01_dwi.nii.gz", "bids::models/from-A_to-B/model.json"]
HEAVY_PACKAGES = ("torch", "dipy", "ants", "bids", "scipy", "nibabel")


def test_a_bids_uri_names_the_dataset_and_the_path_in_it() -> None:
    raw_image = Path("/data/sub-01/dwi/x.nii.gz")
    assert bids_uri(raw_image, Path("/data"), "raw") == "bids:raw:sub-01/dwi/x.nii.gz"
    assert bids_uri(Path("/out/models/m"), Path("/out")) == "bids::models/m"
    with pytest.raises(ValueError, match="/elsewhere/x"):
        bids_uri(Path("/elsewhere/x"), Path("/data"), "raw")


def test_a_bids_uri_of_annexed_content_names_the_link(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to("/gone")
    assert bids_uri(tmp_path / "x", tmp_path, "raw") == "bids:raw:x"


def test_versions_are_those_installed() -> None:
    versions = package_versions()
    assert versions["dipy"] == version("dipy")
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))


def test_versions_are_read_without_importing_a_package() -> None:
    code = (
        "import sys; from bids_shresnet.outputs.sidecars import package_versions;"
        f"package_versions(); print(*set({HEAVY_PACKAGES}) & sys.modules.keys())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_a_sidecar_describes_the_image_and_copies_what_stays_true_of_it(tmp_path: Path) -> None:
    image = tmp_path / "sub-01_desc-harmonized_dwi.nii.gz"
    image.write_bytes(b"image")
    sidecar = Sidecar(
        description="Harmonized.",
        sources=SOURCES,
        is_skull_stripped=False,
        scan_metadata={
            "EchoTime": 0.09,
            "Manufacturer": "GE",
            "PatientName": "Jane",
            "SliceTiming": [0, 1],
        },
        fields={"Harmonization": {"Fold": 1}},
    )
    checksum = {
        "ChecksumAlgorithm": "spdx:checksumAlgorithm_sha256",
        "ChecksumValue": hashlib.sha256(b"image").hexdigest(),
    }
    assert sidecar.to_json(image) == {
        "Description": "Harmonized.",
        "Sources": SOURCES,
        "SkullStripped": False,
        "EchoTime": 0.09,
        "Manufacturer": "GE",
        "Harmonization": {"Fold": 1},
        "Checksum": [checksum],
    }


@pytest.mark.parametrize(
    ("name", "reference"),
    [("sub-01_space-ACPC_dwi.nii.gz", SOURCES[0]), ("sub-01_dwi.nii.gz", None)],
)
def test_only_an_image_in_a_space_has_a_spatial_reference_and_it_is_the_scan(
    name: str, reference: str | None, tmp_path: Path
) -> None:
    image = tmp_path / name
    image.touch()
    sidecar = Sidecar(description="", sources=SOURCES, is_skull_stripped=True)
    assert sidecar.to_json(image).get("SpatialReference") == reference
