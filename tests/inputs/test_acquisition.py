from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bids_shresnet.errors import BadInput
from bids_shresnet.inputs.acquisition import find_denoising, read_acquisition
from bids_shresnet.scans import Acquisition, Scan
from tests.datasets import write_tree
from tests.factories import make_scan


def write_scan(root: Path, affine: np.ndarray, **fields: Any) -> Scan:
    root = write_tree(root, {})
    image = nib.Nifti1Image(np.zeros((2, 3, 4, 4), np.float32), affine)
    nib.save(image, root / "sub-01_dwi.nii.gz")
    return make_scan(root / "sub-01_dwi", bvals=(0.0, 5.0, 1000.0, 1000.0), **fields)


def test_the_acquisition_is_that_of_header_sidecar_and_tables(tmp_path: Path) -> None:
    """The axes of the file run to superior, left and anterior."""
    affine = np.array([[0, -1.5, 0, 0], [0, 0, 2.0, 0], [3.0, 0, 0, 0], [0, 0, 0, 1]])
    scan = write_scan(tmp_path, affine, metadata={"EchoTime": 0.08}, mask=Path("mask.nii.gz"))
    assert read_acquisition(scan) == Acquisition(
        voxel_size=(1.5, 2.0, 3.0),
        echo_time=0.08,
        b0_count=2,
        mask_method="given",
        denoised="no",
    )


@pytest.mark.parametrize("metadata", [{}, {"EchoTime": [0.08, 0.09]}])
def test_what_the_sidecar_does_not_say_is_not_known(
    metadata: dict[str, Any], tmp_path: Path
) -> None:
    acquisition = read_acquisition(write_scan(tmp_path, np.eye(4), metadata=metadata))
    assert acquisition.echo_time is None
    assert acquisition.mask_method == "computed"


def test_an_image_that_cannot_be_read_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_acquisition(make_scan(write_tree(tmp_path, {}) / "sub-01_dwi"))


@pytest.mark.parametrize(
    ("metadata", "pipeline", "expected"),
    [
        ({}, "", "no"),
        ({}, "some pipeline", "unknown"),
        ({}, "qsiprep", "yes"),
        ({"DenoiseMethod": "none"}, "qsiprep", "no"),
        ({"Denoised": False}, "qsiprep", "no"),
        ({"DenoiseMethod": "patch2self"}, "some pipeline", "yes"),
        ({"Description": "MP-PCA and eddy"}, "some pipeline", "yes"),
    ],
)
def test_denoising_is_known_by_the_words_of_the_sidecar_and_by_the_pipeline(
    metadata: dict[str, Any], pipeline: str, expected: str
) -> None:
    assert find_denoising(metadata, pipeline) == expected
