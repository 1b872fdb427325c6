"""The anatomy of the phantom: MNI ICBM 2009a maps that nilearn carries in its package, so nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float

from bids_shresnet.errors import InputMissing

MAP_PATH_PATTERN = "datasets/data/mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
VOXEL_STEP = (
    2  # every second voxel of 1 mm: the maps are averages of 152 brains and hold nothing finer
)
MAX_STORED_VALUE = np.float32(255)  # probability 1 in the packaged 8-bit maps


@dataclass(frozen=True)
class AtlasMaps:
    """T1-weighted template (brain only), grey- and white-matter probability, and voxel indices to MNI mm."""

    t1: Float[np.ndarray, "x y z"]
    gm: Float[np.ndarray, "x y z"]
    wm: Float[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]


def read_atlas() -> AtlasMaps:
    """Read nilearn's packaged maps on a 2 mm grid."""
    images = [
        nib.Nifti1Image.from_filename(_find_nilearn() / MAP_PATH_PATTERN.format(name))
        for name in ("t1", "gm", "wm")
    ]
    t1, gm, wm = (
        np.asarray(image.dataobj)[::VOXEL_STEP, ::VOXEL_STEP, ::VOXEL_STEP].astype(np.float32)
        / MAX_STORED_VALUE
        for image in images
    )
    return AtlasMaps(
        t1,
        gm,
        wm,
        np.asarray(images[0].affine @ np.diag([VOXEL_STEP, VOXEL_STEP, VOXEL_STEP, 1.0])),
    )


def _find_nilearn() -> Path:
    """Find nilearn's folder without importing it, which takes a second."""
    spec = find_spec("nilearn")
    if spec is None or spec.origin is None:
        msg = "nilearn, whose packaged MNI maps are the phantom's anatomy, is not installed; run `pip install nilearn`"
        raise InputMissing(msg)
    return Path(spec.origin).parent
