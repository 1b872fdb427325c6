"""Checks of NIfTI headers: axes, voxel sizes and orientation codes."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float

from bids_shresnet.errors import Finding
from bids_shresnet.io.gradients.gradient_axes import from_fsl
from bids_shresnet.io.images.nifti_header import HeaderOrientation, read_header_orientation

FORM_TOLERANCE_MM = 0.1  # sforms and qforms of one image differ by less through rounding
VOXEL_SIZE_RTOL = 0.01  # relative difference of voxel sizes that is rounding
PLAUSIBLE_VOXEL_MM = (0.3, 12.0)  # voxels of a head; beyond it the unit is not mm
MIN_SLICES = 8  # of a scan that shows enough of a head to be registered
MIN_HEAD_VOXELS = 32  # along the longest edge of the grid of a head
SLAB_REMEDY = "It is too thin to be registered, and is not trained on."
EMPTY_BVECS = np.zeros((0, 3))


def check_header(
    image: Path, shape: tuple[int, ...], affine: Float[np.ndarray, "4 4"]
) -> list[Finding]:
    """Check the affine, and the header's codes and voxel sizes against it.

    Parameters
    ----------
    image
        The NIfTI file.
    shape, affine
        Its grid; the affine maps voxel indices to RAS+ mm.
    """
    orientation = read_header_orientation(image)
    return [
        *_check_slab(image, shape),
        *_check_affine(image, affine),
        *_check_sform_qform(image, orientation, shape),
        *_check_pixdim(image, orientation, affine),
    ]


def grid_mismatch(path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> Finding:
    """Describe a mask or segmentation that is not on the grid of its scan.

    It is a note outside dwi folders: anatomical images usually have a grid of their own.
    """
    grids = f"a grid of {_format_shape(shape)} voxels that is not the scan's"
    value = f"{grids}, of {_format_shape(expected)}"
    remedy = "It is not used. Resample it on the scan's grid, or nothing: the app makes its own."
    if path.parent.name == "dwi":
        return Finding.warning(path, value, remedy)
    return Finding.note(path, value, remedy)


def describe_slab(shape: tuple[int, ...]) -> str:
    """Describe a grid of so few slices that it cannot be registered; empty for any other."""
    smallest, _, largest = sorted(shape[:3])
    if smallest >= MIN_SLICES or largest < MIN_HEAD_VOXELS:
        return ""
    return f"a slab of {smallest} slices (a grid of {_format_shape(shape)} voxels)"


def _check_slab(image: Path, shape: tuple[int, ...]) -> list[Finding]:
    """Warn about slabs: a model is applied to them, but none is trained on them."""
    slab = describe_slab(shape)
    return [Finding.warning(image, slab, SLAB_REMEDY)] if slab else []


def _check_affine(image: Path, affine: Float[np.ndarray, "4 4"]) -> list[Finding]:
    """Find axes along which no gradient direction can be given, and implausible voxels."""
    if not np.isfinite(affine).all():
        value = "an affine that is no finite numbers"
        return [Finding.error(image, value, "Convert the scan again.")]
    try:
        from_fsl(EMPTY_BVECS, affine)
    except ValueError as error:
        remedy = "Convert the scan again, or resample it on a right grid."
        return [Finding.error(image, str(error), remedy)]
    return _check_voxel_sizes(image, affine)


def _check_voxel_sizes(image: Path, affine: Float[np.ndarray, "4 4"]) -> list[Finding]:
    """Find implausible voxels."""
    sizes = nib.affines.voxel_sizes(affine)
    smallest, largest = PLAUSIBLE_VOXEL_MM
    if sizes.min() >= smallest and sizes.max() <= largest:
        return []
    value = f"voxels of {_format_mm(sizes)} mm"
    remedy = "Check the unit of the affine: NIfTI counts in mm here."
    return [Finding.warning(image, value, remedy)]


def _check_sform_qform(
    image: Path, orientation: HeaderOrientation, shape: tuple[int, ...]
) -> list[Finding]:
    """Compare sform and qform at the corners of the grid."""
    if orientation.sform_code == orientation.qform_code == 0:
        value = "sform_code and qform_code are 0: nothing says which side is left"
        remedy = "Check the orientation in a viewer; convert the scan again."
        return [Finding.warning(image, value, remedy)]
    if orientation.sform is None or orientation.qform is None:
        return []
    edges = [(0, size - 1) for size in shape[:3]]
    corners = np.stack(np.meshgrid(*edges), axis=-1).reshape(-1, 3)
    by_sform = nib.affines.apply_affine(orientation.sform, corners)
    by_qform = nib.affines.apply_affine(orientation.qform, corners)
    distance = float(np.linalg.norm(by_sform - by_qform, axis=1).max())
    if distance <= FORM_TOLERANCE_MM:
        return []
    value = f"sform and qform disagree by up to {distance:.3g} mm"
    remedy = "The sform is used; other tools may take the qform."
    return [Finding.warning(image, value, remedy)]


def _check_pixdim(
    image: Path, orientation: HeaderOrientation, affine: Float[np.ndarray, "4 4"]
) -> list[Finding]:
    """Compare the voxel sizes of the header with those of the affine."""
    sizes = nib.affines.voxel_sizes(affine)
    pixdim = orientation.pixdim
    value = f"pixdim of {_format_mm(pixdim)} mm"
    if np.all(pixdim > 0):
        if np.allclose(pixdim, sizes, rtol=VOXEL_SIZE_RTOL):
            return []
        value += f", where the affine has voxels of {_format_mm(sizes)} mm"
    remedy = "The affine is used; other tools may take pixdim. Convert it again."
    return [Finding.warning(image, value, remedy)]


def _format_mm(sizes: Float[np.ndarray, " 3"]) -> str:
    return " x ".join(f"{size:.3g}" for size in sizes)


def _format_shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape[:3]))
