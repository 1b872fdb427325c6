from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_shresnet.errors import BadInput
from bids_shresnet.io.images.nifti import read_on_grid, read_volume
from bids_shresnet.io.images.nifti_header import load_header, read_grid
from tests.io.nifti_files import diagonal

RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
@pytest.mark.parametrize("shape", [(800, 800, 800, 17), (1, 1, 1, 30_000), (32_767,) * 7])
def test_an_image_is_refused_by_its_header_if_the_file_cannot_hold_it(
    shape: tuple[int, ...], extension: str, tmp_path: Path
) -> None:
    """The header of a small file says that it is large; nothing is allocated for it."""
    path = tmp_path / f"a{extension}"
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.float64), np.eye(4))
    image.header["dim"][: len(shape) + 1] = [len(shape), *shape]
    content = image.header.binaryblock + bytes(100)
    path.write_bytes(gzip.compress(content) if extension.endswith("gz") else content)
    for read in (read_grid, read_volume, load_header):
        with pytest.raises(BadInput, match="too short for the"):
            read(path)


@pytest.mark.parametrize("shape", [(30_000,), (200, 300)])
def test_an_image_without_three_axes_is_bad_input(shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    image = nib.Nifti1Image(np.zeros((200, 300, 1), np.uint8), np.eye(4))
    image.header["dim"][: len(shape) + 1] = [len(shape), *shape]
    path.write_bytes(image.header.binaryblock + bytes(4 + 60_000))
    for read in (read_grid, read_volume, load_header):
        with pytest.raises(BadInput, match=f"an image of {len(shape)} axes"):
            read(path)


def test_an_image_that_compresses_as_well_as_possible_is_read(tmp_path: Path) -> None:
    data = np.zeros((128, 128, 128), np.int16)
    content = nib.Nifti1Image(data, diagonal(2, 2, 2)).to_bytes()
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(content, compresslevel=9))
    assert path.stat().st_size < data.nbytes / 900
    assert read_grid(path)[0] == data.shape


@pytest.mark.parametrize("data_type", [RGB, np.dtype(np.complex64)])
def test_only_images_of_real_numbers_are_read(data_type: np.dtype, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), data_type), np.eye(4)), tmp_path / "a.nii.gz")
    for read in (read_grid, read_volume):
        with pytest.raises(BadInput, match="real numbers"):
            read(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_singular_affine_is_bad_input(value: float, tmp_path: Path) -> None:
    affine = np.array([[2, 2, 0, 0], [2, 2, 0, 0], [0, 0, 2 + value, 0], [0, 0, 0, 1.0]])
    image = nib.Nifti1Image(np.ones((2, 2, 2), np.uint8), None)
    image.header.set_sform(affine, 1)
    nib.save(image, tmp_path / "a.nii.gz")
    with pytest.raises(BadInput, match="flattens"):
        read_on_grid(tmp_path / "a.nii.gz", (2, 2, 2), np.eye(4), spline_order=0)
