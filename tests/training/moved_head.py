"""A scan of the phantom, and the same scan of a head in another pose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from bids_shresnet.config import InputSettings, ScannerSettings
from bids_shresnet.planning.discover import find_scans
from bids_shresnet.planning.pair_shells import PairShells
from bids_shresnet.scans import Scan, Shell
from tests.images import load_image

ROTATION = Rotation.from_rotvec(np.radians([8.0, -5.0, 6.0])).as_matrix()
SHIFT_MM = np.array([6.0, -4.0, 3.0])
SHELLS = PairShells((Shell(1000.0, 2),), (Shell(1000.0, 2),))


def find_source_scan(dataset: Path) -> Scan:
    """The scan of the phantom's subject without a target scan."""
    settings = (InputSettings(dataset), ScannerSettings())
    scans = find_scans(*settings, is_identity_required=True).scans
    return next(scan for scan in scans if scan.subject == "04")


def move_scan(scan: Scan, folder: Path) -> Scan:
    """Write the scan with another pose of head and grid.

    The voxels do not change, nor do the b-vectors: FSL's are relative to the image.
    """
    image = load_image(scan.image)
    affine = image.affine.copy()
    affine[:3, :3] = ROTATION @ image.affine[:3, :3]
    affine[:3, 3] = move_points(image.affine[:3, 3])
    path = folder / scan.image.name
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), affine), path)
    return replace(scan, image=path)


def move_points(points: Float[np.ndarray, "*p 3"]) -> Float[np.ndarray, "*p 3"]:
    """Positions in the moved scan of points in the scan, RAS+ mm."""
    return np.asarray(points @ ROTATION.T + SHIFT_MM)
