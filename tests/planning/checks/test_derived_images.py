from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.planning.checks.derived_images import ImageMatcher

SHAPE = (4, 5, 6)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def write_mask(path: Path, *, shift_mm: float = 0.0, shape: tuple[int, ...] = SHAPE) -> Path:
    affine = AFFINE.copy()
    affine[2, 3] = shift_mm
    nib.save(nib.Nifti1Image(np.ones(shape, np.uint8), affine), path)
    return path


def matcher(*aligned: Path) -> ImageMatcher:
    file = DwiFile(
        image=Path("dwi.nii.gz"),
        dataset=Path(),
        suffix="dwi",
        entities={},
        metadata={},
        aligned_files=frozenset(aligned),
    )
    return ImageMatcher(file, SHAPE, AFFINE)


@pytest.mark.parametrize(
    ("shift_mm", "shape", "is_on_grid"),
    [
        (0.0, SHAPE, True),
        (1e-4, SHAPE, True),  # rounding
        (2.0, SHAPE, False),  # one voxel away
        (0.0, (4, 5, 7), False),
    ],
)
def test_a_mask_of_another_grid_is_used_only_if_its_name_says_that_it_is_aligned(
    shift_mm: float, shape: tuple[int, ...], is_on_grid: bool, tmp_path: Path
) -> None:
    mask = write_mask(tmp_path / "mask.nii.gz", shift_mm=shift_mm, shape=shape)
    by_grid = matcher()
    assert by_grid.find_first([mask], lambda path: [path]) == (mask if is_on_grid else None)
    assert [finding.file for finding in by_grid.findings] == ([] if is_on_grid else [str(mask)])
    by_name = matcher(mask)
    assert by_name.find_first([mask], lambda path: [path]) == mask
    assert by_name.findings == []


def test_the_first_usable_candidate_is_taken_without_a_word_on_those_before(tmp_path: Path) -> None:
    shifted = write_mask(tmp_path / "shifted.nii.gz", shift_mm=2.0)
    masks = [write_mask(tmp_path / f"{name}.nii.gz") for name in ("first", "second")]
    finder = matcher()
    assert finder.find_first([shifted, *masks], lambda path: [path]) == masks[0]
    assert finder.findings == []
