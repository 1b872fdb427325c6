"""What is wrong or odd about where the voxels of an image are: its axes, voxel sizes and orientation codes."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float

from bids_shresnet.errors import Finding
from bids_shresnet.io.fsl import from_fsl
from bids_shresnet.io.nifti_header import HeaderOrientation, read_header_orientation

FORM_TOLERANCE_MM = 0.1  # mm; sforms and qforms of one image differ by less through rounding
VOXEL_SIZE_RTOL = 0.01  # relative difference of voxel sizes that is rounding
PLAUSIBLE_VOXEL_MM = (0.3, 12.0)  # of a voxel of a head; beyond it the unit is not mm
EMPTY_BVECS = np.zeros((0, 3))


def check_header(
    image: Path, shape: tuple[int, ...], affine: Float[np.ndarray, "4 4"]
) -> list[Finding]:
    """Check the affine as it was read, and the header's codes and voxel sizes against it."""
    placement = read_header_orientation(image)
    return [
        *_check_affine(image, affine),
        *_check_sform_qform(image, placement, shape),
        *_check_pixdim(image, placement, affine),
    ]


def grid_mismatch(path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> Finding:
    """Tell of a mask or segmentation that does not fit its scan; those of anatomical images usually do not."""
    own, scans = (" x ".join(map(str, grid[:3])) for grid in (shape, expected))
    value = f"a grid of {own} voxels that is not the scan's, of {scans}"
    remedy = "It is not used. Resample it on the scan's grid, or nothing: the app makes its own."
    return Finding("warning" if path.parent.name == "dwi" else "note", str(path), value, remedy)


def _check_affine(image: Path, affine: Float[np.ndarray, "4 4"]) -> list[Finding]:
    """Find axes along which no gradient direction can be given."""
    try:
        if not np.isfinite(affine).all():
            return [
                Finding(
                    "error",
                    str(image),
                    "an affine that is no finite numbers",
                    "Convert the scan again.",
                )
            ]
        from_fsl(EMPTY_BVECS, affine)
    except ValueError as error:
        return [
            Finding(
                "error",
                str(image),
                str(error),
                "Convert the scan again, or resample it on a right grid.",
            )
        ]
    sizes = nib.affines.voxel_sizes(affine)
    if sizes.min() < PLAUSIBLE_VOXEL_MM[0] or sizes.max() > PLAUSIBLE_VOXEL_MM[1]:
        value = f"voxels of {_format_mm(sizes)} mm"
        return [
            Finding(
                "warning",
                str(image),
                value,
                "Check the unit of the affine: NIfTI counts in mm here.",
            )
        ]
    return []


def _check_sform_qform(
    image: Path, placement: HeaderOrientation, shape: tuple[int, ...]
) -> list[Finding]:
    """Compare sform and qform."""
    if placement.sform_code == placement.qform_code == 0:
        value = "sform_code and qform_code are 0: nothing says which side is left"
        return [
            Finding(
                "warning",
                str(image),
                value,
                "Check the orientation in a viewer; convert the scan again.",
            )
        ]
    if placement.sform is None or placement.qform is None:
        return []
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in shape[:3]])).reshape(3, -1).T
    moved = [nib.affines.apply_affine(form, corners) for form in (placement.sform, placement.qform)]
    distance = float(np.linalg.norm(moved[0] - moved[1], axis=1).max())
    if distance <= FORM_TOLERANCE_MM:
        return []
    value = f"sform and qform disagree by up to {distance:.3g} mm"
    return [
        Finding("warning", str(image), value, "The sform is used; other tools may take the qform.")
    ]


def _check_pixdim(
    image: Path, placement: HeaderOrientation, affine: Float[np.ndarray, "4 4"]
) -> list[Finding]:
    """Compare the voxel sizes of the header with those of the affine."""
    sizes, written = nib.affines.voxel_sizes(affine), placement.pixdim
    if not np.all(written > 0):
        value = f"pixdim of {_format_mm(written)} mm"
    elif not np.allclose(written, sizes, rtol=VOXEL_SIZE_RTOL):
        value = f"pixdim of {_format_mm(written)} mm, where the affine has voxels of {_format_mm(sizes)} mm"
    else:
        return []
    return [
        Finding(
            "warning",
            str(image),
            value,
            "The affine is used; other tools may take pixdim. Convert it again.",
        )
    ]


def _format_mm(sizes: Float[np.ndarray, " 3"]) -> str:
    return " x ".join(f"{size:.3g}" for size in sizes)
