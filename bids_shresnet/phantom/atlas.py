"""The phantom's standard head: MNI ICBM 2009a maps that are part of nilearn's package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from bids_shresnet.errors import InputMissing

MAP_PATH_PATTERN = "datasets/data/mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
VOXEL_STEP = 2  # of voxels of 1 mm: averages of 152 brains hold nothing finer
MAX_STORED_VALUE = np.float32(255)  # probability 1 in the packaged 8-bit maps
MIN_BRAIN_T1_SHARE = 0.05  # of the brightest voxel
MIN_CSF_PROBABILITY = 0.02
SCALP_INNER_MM = 5.0  # distance from the brain's surface
SCALP_OUTER_MM = 11.0
SCALP_T1 = 0.6  # of the brain's brightest voxel
NECK_Z_MM = -55.0  # the scalp ends here: the atlas has no face and no neck
NORMAL_SIGMA_MM = 3.0  # about the thickness of the cortex


@dataclass(frozen=True)
class AtlasMaps:
    """Maps of a standard brain on one isotropic grid.

    Attributes
    ----------
    t1
        T1-weighted template of the brain only.
    gm, wm
        Probability of grey and of white matter, 0 to 1.
    affine
        Voxel indices to MNI mm.
    """

    t1: Float[np.ndarray, "x y z"]
    gm: Float[np.ndarray, "x y z"]
    wm: Float[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]

    @property
    def voxel_mm(self) -> float:
        """Edge of a voxel."""
        return float(self.affine[0, 0])


@dataclass(frozen=True)
class Atlas:
    """A standard head.

    Attributes
    ----------
    tissue
        Volume fractions of white matter, grey matter, CSF and scalp, (x, y, z, 4).
    normal
        Gradient from white matter out towards the cortex's surface, (x, y, z, 3).
    t1
        T1-weighted intensity, 1 at its brightest.
    affine
        Voxel indices to MNI mm.
    """

    tissue: Float[np.ndarray, "x y z 4"]
    normal: Float[np.ndarray, "x y z 3"]
    t1: Float[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]


def read_atlas_maps() -> AtlasMaps:
    """Read nilearn's packaged maps on a 2 mm grid."""
    folder = _find_nilearn()
    images = {
        name: nib.Nifti1Image.from_filename(folder / MAP_PATH_PATTERN.format(name))
        for name in ("t1", "gm", "wm")
    }
    step_affine = np.diag([VOXEL_STEP, VOXEL_STEP, VOXEL_STEP, 1.0])
    return AtlasMaps(
        t1=_read_coarse(images["t1"]),
        gm=_read_coarse(images["gm"]),
        wm=_read_coarse(images["wm"]),
        affine=np.asarray(images["t1"].affine @ step_affine),
    )


def build_atlas(maps: AtlasMaps) -> Atlas:
    """Build a standard head with sharp tissue borders, a scalp and the normal of its cortex."""
    brain = ndimage.binary_fill_holes(maps.t1 > MIN_BRAIN_T1_SHARE * maps.t1.max())
    tissue = _sharpen_tissue(maps, brain)
    scalp = _scalp_mask(brain, maps.affine, maps.voxel_mm)
    outwards = ndimage.gaussian_filter(
        tissue[..., 2] + ~brain - tissue[..., 0], NORMAL_SIGMA_MM / maps.voxel_mm
    )
    t1 = (maps.t1 / maps.t1.max()) ** 1.5 * brain + SCALP_T1 * scalp
    return Atlas(
        tissue=np.concatenate([tissue, scalp[..., None]], axis=-1).astype(np.float32),
        normal=np.stack(np.gradient(outwards), axis=-1).astype(np.float32),
        t1=t1.astype(np.float32),
        affine=maps.affine,
    )


def _sharpen_tissue(
    maps: AtlasMaps, brain: Bool[np.ndarray, "x y z"]
) -> Float[np.ndarray, "x y z 3"]:
    """Return fractions of white matter, grey matter and CSF.

    An average of many brains is blurred. Squared probabilities have the sharper cortex of a
    single one.
    """
    csf = np.maximum(1 - maps.wm - maps.gm, MIN_CSF_PROBABILITY)
    squares = np.square(np.stack([maps.wm, maps.gm, csf], axis=-1)) * brain[..., None]
    return np.asarray(squares / np.maximum(squares.sum(axis=-1, keepdims=True), 1e-6))


def _scalp_mask(
    brain: Bool[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"], voxel_mm: float
) -> Bool[np.ndarray, "x y z"]:
    """Return a rim around the head, the width of the skull away from the brain."""
    margin = int(np.ceil(SCALP_OUTER_MM / voxel_mm))
    inner = slice(margin, -margin)
    head = ndimage.binary_closing(np.pad(brain, margin), iterations=margin)[inner, inner, inner]
    distance = ndimage.distance_transform_edt(~head, sampling=voxel_mm)
    z_mm = affine[2, 3] + affine[2, 2] * np.arange(brain.shape[2])
    is_rim = (distance > SCALP_INNER_MM) & (distance < SCALP_OUTER_MM)
    return np.asarray(is_rim & (z_mm > NECK_Z_MM))


def _read_coarse(image: nib.Nifti1Image) -> Float[np.ndarray, "x y z"]:
    """Read every second voxel of a packaged map along each axis, 0 to 1."""
    data = np.asarray(image.dataobj)[::VOXEL_STEP, ::VOXEL_STEP, ::VOXEL_STEP]
    return np.asarray(data.astype(np.float32) / MAX_STORED_VALUE)


def _find_nilearn() -> Path:
    """Find nilearn's folder without importing it, which takes a second."""
    spec = find_spec("nilearn")
    if spec is None or spec.origin is None:
        msg = (
            "nilearn, whose packaged MNI maps are the phantom's anatomy, is not installed; "
            "run `pip install nilearn`"
        )
        raise InputMissing(msg)
    return Path(spec.origin).parent
