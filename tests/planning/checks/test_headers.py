from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from bids_shresnet.planning.checks.headers import check_header

SHAPE = (41, 31, 21)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def moved(shift_mm: float = 0.0, degrees: float = 0.0) -> Float[np.ndarray, "4 4"]:
    """The grid shifted along x, and turned about z and the first voxel."""
    affine = AFFINE.copy()
    affine[:3, :3] = Rotation.from_euler("z", degrees, degrees=True).as_matrix() @ affine[:3, :3]
    affine[0, 3] += shift_mm
    return affine


@pytest.mark.parametrize(
    ("sform", "distance_mm"),
    [
        (moved(), 0.0),
        (moved(shift_mm=0.05), 0.0),  # rounding
        (moved(shift_mm=3.0), 3.0),
        # both corners farthest from the first voxel move by 2 r sin(angle / 2), r = 100 mm
        (moved(degrees=10.0), 200 * np.sin(np.radians(5))),
    ],
)
def test_a_sform_and_a_qform_that_differ_are_a_warning_with_their_largest_distance_in_the_grid(
    sform: Float[np.ndarray, "4 4"], distance_mm: float, tmp_path: Path
) -> None:
    path = tmp_path / "x.nii.gz"
    image = nib.Nifti1Image(np.zeros(SHAPE, np.int16), sform)
    image.set_sform(sform, 1)
    image.set_qform(AFFINE, 1)
    nib.save(image, path)
    findings = check_header(path, SHAPE, sform)
    expected = [f"sform and qform disagree by up to {distance_mm:.3g} mm"] if distance_mm else []
    assert [finding.value for finding in findings] == expected
    assert all(finding.severity == "warning" for finding in findings)


def test_without_any_code_the_orientation_is_doubted(tmp_path: Path) -> None:
    path = tmp_path / "x.nii.gz"
    image = nib.Nifti1Image(np.zeros(SHAPE, np.int16), AFFINE)
    image.set_sform(AFFINE, 0)
    image.set_qform(AFFINE, 0)
    nib.save(image, path)
    (finding,) = check_header(path, SHAPE, AFFINE)
    assert "which side is left" in finding.value
