"""Broken and odd headers, signals and masks."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import EllipsisType

import numpy as np
from jaxtyping import Float, UInt8

from tests.datasets import AFFINE
from tests.zoo.case import BAD_INPUT, GE_DWI, OK, Case, heads_with, make_heads, make_image

MASK = "sub-01/ses-ge/dwi/sub-01_ses-ge_desc-brain_mask.nii.gz"
MASK_SHAPE = (5, 5, 5)
SHEARED = AFFINE + np.array([[0, 1.0, 0, 0], *[[0] * 4] * 3])
ROTATED = AFFINE @ np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])


def signal_with(
    value: float, index: tuple[int | slice | EllipsisType, ...]
) -> Float[np.ndarray, "2 2 2 7"]:
    """A constant signal with another value at an index."""
    data = np.full((2, 2, 2, 7), 100.0, np.float32)
    data[index] = value
    return data


def mask_with_hole() -> UInt8[np.ndarray, "5 5 5"]:
    mask = np.ones(MASK_SHAPE, np.uint8)
    mask[2, 2, 2] = 0
    return mask


def mask_in_pieces() -> UInt8[np.ndarray, "5 5 5"]:
    mask = np.zeros(MASK_SHAPE, np.uint8)
    mask[:2] = 1
    mask[4, 4, 4] = 1
    return mask


def zero_pixdim(path: Path) -> None:
    """Write a 0 where NIfTI has pixdim[1], which nibabel would not."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[80:84] = bytes(4)
    path.write_bytes(gzip.compress(content))


HEADER_CASES = (
    Case(
        name="sform and qform disagree",
        tree=heads_with(".nii.gz", make_image(qform_affine=ROTATED)),
        exit_code=OK,
        messages=("warning", "sform and qform disagree by up to"),
    ),
    Case(
        name="orientation codes of 0",
        tree=heads_with(".nii.gz", make_image(sform=0, qform=0)),
        exit_code=OK,
        messages=("warning", "nothing says which side is left"),
    ),
    Case(
        name="pixdim of zero",
        tree=heads_with(".nii.gz", make_image(qform=0)),
        exit_code=OK,
        messages=("warning", "pixdim of 0 x 2 x 2 mm"),
        damage=lambda root: zero_pixdim(root / f"{GE_DWI}.nii.gz"),
    ),
    Case(
        name="pixdim that is not the affine's",
        tree=heads_with(".nii.gz", make_image(qform=0, pixdim=(1, 1, 1))),
        exit_code=OK,
        messages=("warning", "pixdim of 1 x 1 x 1 mm, where the affine has voxels of 2 x 2 x 2 mm"),
    ),
    Case(
        name="a slab of two slices",
        tree=heads_with(".nii.gz", make_image(shape=(32, 32, 2, 7))),
        exit_code=OK,
        messages=("warning", "a slab of 2 slices (a grid of 32 x 32 x 2 voxels)"),
    ),
    Case(
        name="voxels in metres",
        tree=heads_with(
            ".nii.gz",
            make_image(affine=np.diag([0.002, 0.002, 0.002, 1]), qform=0, pixdim=[0.002] * 3),
        ),
        exit_code=OK,
        messages=("warning", "voxels of 0.002 x 0.002 x 0.002 mm"),
    ),
    Case(
        name="a sheared grid",
        tree=heads_with(".nii.gz", make_image(affine=SHEARED, qform=0)),
        exit_code=BAD_INPUT,
        messages=("the grid is sheared",),
    ),
    Case(
        name="a flat grid",
        tree=heads_with(".nii.gz", make_image(affine=np.diag([2.0, 2, 0, 1]), qform=0)),
        exit_code=BAD_INPUT,
        messages=("voxel sizes must be positive",),
    ),
)

SIGNAL_CASES = (
    Case(
        name="NaN",
        tree=heads_with(".nii.gz", make_image(signal_with(np.nan, (0, 0, 0, 3)))),
        exit_code=OK,
        messages=("warning", "1.79% of the values in the head are NaN or infinite"),
    ),
    Case(
        name="nothing but NaN",
        tree=heads_with(".nii.gz", make_image(signal_with(np.nan, (..., slice(1, None))))),
        exit_code=BAD_INPUT,
        messages=("error", "85.71% of the values in the head are NaN"),
    ),
    Case(
        name="negative values",
        tree=heads_with(".nii.gz", make_image(signal_with(-1, (0, 0, 0, 3)))),
        exit_code=OK,
        messages=("warning", "1.79% of the values in the head are negative"),
    ),
    Case(
        name="negative values outside the head",
        tree=heads_with(".nii.gz", make_image(signal_with(-1, (0, 0, 0)))),
        exit_code=OK,
        messages=("note", "values outside the head"),
    ),
    Case(
        name="an empty volume",
        tree=heads_with(".nii.gz", make_image(signal_with(0, (..., 4)))),
        exit_code=OK,
        messages=("warning", "nothing but zeros in the volumes 4"),
    ),
    Case(
        name="b=0 without signal",
        tree=heads_with(".nii.gz", make_image(signal_with(0, (..., 0)))),
        exit_code=BAD_INPUT,
        messages=("the b=0 volumes hold no signal",),
    ),
)

MASK_CASES = (
    Case(
        name="a mask with a hole",
        tree=make_heads(shape=MASK_SHAPE),
        exit_code=OK,
        messages=("warning", "holes of 1 voxels in a mask of 124"),
        derivative={MASK: mask_with_hole()},
    ),
    Case(
        name="a mask in pieces",
        tree=make_heads(shape=MASK_SHAPE),
        exit_code=OK,
        messages=("warning", "1 of 51 voxels are apart"),
        derivative={MASK: mask_in_pieces()},
    ),
    Case(
        name="an empty mask",
        tree=make_heads(shape=MASK_SHAPE),
        exit_code=BAD_INPUT,
        messages=("the mask is empty",),
        derivative={MASK: np.zeros(MASK_SHAPE, np.uint8)},
    ),
    Case(
        name="a mask of the anatomy on another grid",
        tree=make_heads(),
        exit_code=OK,
        messages=("note", "a grid of 3 x 2 x 2 voxels that is not the scan's"),
        derivative={MASK.replace("dwi", "anat"): np.ones((3, 2, 2), np.uint8)},
    ),
    Case(
        name="a mask in the scan's space on another grid",
        tree=make_heads(),
        exit_code=OK,
        messages=(),
        derivative={MASK: np.ones((3, 2, 2), np.uint8)},
    ),
    Case(
        name="an annexed mask that is not here",
        tree=make_heads(),
        exit_code=OK,
        messages=("warning", "datalad get"),
        derivative={MASK: None},
    ),
)
