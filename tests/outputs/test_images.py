from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.io.images.nifti import read_dwi, read_volume
from bids_shresnet.outputs.images import Volume, write_output
from bids_shresnet.outputs.sidecars import Sidecar
from bids_shresnet.scans import Dwi
from tests.images import load_image
from tests.io.nifti_files import BVALS, BVECS, SHAPE, diagonal, scan_at, store

AFFINE = diagonal(2, 2, 2)
SIDECAR = Sidecar(description="x", sources=["bids::x"], is_skull_stripped=True)


@pytest.fixture
def stem(tmp_path: Path) -> Path:
    store(tmp_path / "sub-01_dwi.nii.gz", AFFINE)
    return tmp_path / "sub-01_dwi"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("is_series", [False, True])
def test_no_image_with_a_value_that_is_not_finite_is_written(
    is_series: bool, value: float, stem: Path
) -> None:
    values = np.ones((*SHAPE, 4), np.float32)
    values[-1, -1, -1, -1] = value
    content = Dwi(values, AFFINE, np.array(BVALS), BVECS)
    volume = Volume(values[..., -1], AFFINE)
    before = sorted(stem.parent.iterdir())
    with pytest.raises(ValueError, match=r"out_dwi\.nii\.gz: 1 of \d+ values are not finite"):
        write_output(
            stem.with_name("out_dwi.nii.gz"),
            content if is_series else volume,
            scan=scan_at(stem),
            sidecar=SIDECAR,
        )
    assert sorted(stem.parent.iterdir()) == before


def test_a_finite_image_is_written_with_its_tables_and_sidecar(stem: Path) -> None:
    values = np.arange(np.prod(SHAPE) * 4, dtype=np.float32).reshape(*SHAPE, 4)
    dwi = Dwi(values, AFFINE, np.array(BVALS), BVECS)
    image = stem.with_name("out_dwi.nii.gz")
    write_output(image, dwi, scan=scan_at(stem), sidecar=SIDECAR)
    written = read_dwi(scan_at(stem.with_name("out_dwi")))
    np.testing.assert_array_equal(written.data, values)
    np.testing.assert_allclose(written.bvecs, BVECS, atol=2e-6)
    names = {path.name for path in image.parent.glob("out*")}
    assert names == {f"out_dwi{end}" for end in (".nii.gz", ".bval", ".bvec", ".json")}


def test_a_mask_is_stored_as_bytes(stem: Path) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[1] = True
    image = stem.with_name("out_mask.nii.gz")
    write_output(image, Volume(mask, AFFINE), scan=scan_at(stem), sidecar=SIDECAR)
    np.testing.assert_array_equal(read_volume(image)[0], mask)
    assert load_image(image).get_data_dtype() == np.uint8
