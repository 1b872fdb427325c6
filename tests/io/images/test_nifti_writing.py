from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float, Shaped

from bids_shresnet.io.images.nifti import read_dwi, read_volume
from bids_shresnet.io.images.nifti_writing import make_image_like, write_dwi, write_volume
from bids_shresnet.scans import Dwi
from bids_shresnet.settings import OutputType
from bids_shresnet.version import __version__
from tests.io.grids import grids
from tests.io.nifti_files import (
    BVALS,
    BVECS,
    PERSONAL_TEXT,
    REPETITION_TIME,
    SHAPE,
    diagonal,
    load,
    scan_at,
    store,
)

CODES = st.sampled_from([(0, 1), (1, 0), (1, 1), (2, 1), (1, 4)])  # qform, sform
GRID_FIELDS = (
    "qform_code",
    "sform_code",
    "quatern_b",
    "qoffset_x",
    "srow_x",
    "srow_z",
    "dim",
    "pixdim",
)


@pytest.fixture
def like(tmp_path: Path) -> Path:
    return store(tmp_path / "like.nii.gz", diagonal(2, 2, 2))


@pytest.mark.slow
@given(affine=grids(), codes=CODES, seed=st.integers(0, 9))
@settings(max_examples=60)
def test_a_written_scan_is_read_back_and_has_the_grid_of_its_input(
    affine: Float[np.ndarray, "4 4"],
    codes: tuple[int, int],
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    like = store(folder / "like.nii.gz", affine, codes=codes)
    canonical, canonical_affine = read_volume(like)
    data = np.random.default_rng(seed).random(canonical.shape, np.float32)
    write_dwi(folder / "out", Dwi(data, canonical_affine, np.array(BVALS), BVECS), like)
    dwi = read_dwi(scan_at(folder / "out"))
    np.testing.assert_array_equal(dwi.data, data)
    np.testing.assert_array_equal(dwi.affine, canonical_affine)
    np.testing.assert_array_equal(dwi.bvals, BVALS)
    np.testing.assert_allclose(dwi.bvecs, BVECS, atol=2e-6)
    assert_equal_grids(folder / "out.nii.gz", like)


def assert_equal_grids(image: Path, like: Path) -> None:
    np.testing.assert_array_equal(load(image).affine, load(like).affine)
    header = load(image).header
    expected = load(like).header
    for field in GRID_FIELDS:
        np.testing.assert_array_equal(header[field], expected[field], err_msg=field)


@pytest.mark.parametrize(
    "affine", [diagonal(-2, 2, 2), diagonal(2, -2, -2), diagonal(2, 2, 2)[[2, 0, 1, 3]]]
)
def test_nibabel_finds_a_written_volume_in_canonical_order(
    affine: Float[np.ndarray, "4 4"], tmp_path: Path
) -> None:
    like = store(tmp_path / "like.nii.gz", affine)
    canonical, canonical_affine = read_volume(like)
    shape = canonical.shape[:3]
    data = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    write_volume(tmp_path / "out.nii.gz", data, canonical_affine, like)
    stored = load(tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(nib.as_closest_canonical(stored).get_fdata(), data)
    np.testing.assert_array_equal(stored.affine, affine)


@pytest.mark.parametrize(
    ("sign", "flip"), [pytest.param(-1, 1, id="LAS"), pytest.param(1, -1, id="RAS")]
)
def test_written_bvecs_count_along_the_image_as_fsl_reads_it(
    sign: int, flip: int, tmp_path: Path
) -> None:
    """LAS is radiological (determinant < 0), RAS neurological."""
    like = store(tmp_path / "like.nii.gz", diagonal(2.0 * sign, 2, 2))
    data, affine = read_volume(like)
    write_dwi(tmp_path / "out", Dwi(data, affine, np.array(BVALS), BVECS), like)
    components = np.loadtxt(tmp_path / "out.bvec")
    np.testing.assert_allclose(components, (BVECS * [sign * flip, 1, 1]).T, atol=1e-6)
    assert (tmp_path / "out.bval").read_text() == "0 1000 1000 2000\n"


@pytest.mark.parametrize(
    ("data", "dtype"), [(np.ones(SHAPE, bool), np.uint8), (np.full(SHAPE, 0.3), np.float32)]
)
def test_masks_become_uint8_and_maps_float32_without_scaling(
    data: Shaped[np.ndarray, "x y z"], dtype: type, like: Path, tmp_path: Path
) -> None:
    _, affine = read_volume(like)
    write_volume(tmp_path / "out.nii.gz", data, affine, like)
    header = load(tmp_path / "out.nii.gz").header
    assert header.get_data_dtype() == dtype
    assert header.get_slope_inter() == (None, None)
    assert header.get_xyzt_units() == ("mm", "sec")


def test_nothing_personal_of_the_input_is_written(like: Path, tmp_path: Path) -> None:
    data, affine = read_volume(like)
    write_volume(tmp_path / "out.nii.gz", data, affine, like)
    assert PERSONAL_TEXT in gzip.decompress(like.read_bytes())
    assert PERSONAL_TEXT not in gzip.decompress((tmp_path / "out.nii.gz").read_bytes())
    assert not load(tmp_path / "out.nii.gz").header.extensions


def test_a_repetition_time_in_milliseconds_is_written_in_seconds(
    like: Path, tmp_path: Path
) -> None:
    image = load(like)
    image.header["pixdim"][4] = 1000 * REPETITION_TIME
    image.header.set_xyzt_units("mm", "msec")
    nib.save(image, tmp_path / "msec.nii.gz")
    data, affine = read_volume(tmp_path / "msec.nii.gz")
    write_volume(tmp_path / "out.nii.gz", data, affine, tmp_path / "msec.nii.gz")
    assert load(tmp_path / "out.nii.gz").header.get_zooms() == (2, 2, 2, REPETITION_TIME)


def test_an_image_without_a_space_is_written_as_scanner_space(tmp_path: Path) -> None:
    like = store(tmp_path / "like.nii.gz", diagonal(2, 2, 2), codes=(0, 0))
    data, affine = read_volume(like)
    write_volume(tmp_path / "out.nii.gz", data, affine, like)
    image = load(tmp_path / "out.nii.gz")
    assert int(image.header["qform_code"]) == 0
    assert int(image.header["sform_code"]) == 1
    np.testing.assert_allclose(image.affine, load(like).affine)


def test_equal_data_give_equal_bytes(
    like: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, affine = read_volume(like)
    write_volume(tmp_path / "first.nii.gz", data, affine, like)
    monkeypatch.setattr("time.time", lambda: 2e9)
    write_volume(tmp_path / "second.nii.gz", data, affine, like)
    first = (tmp_path / "first.nii.gz").read_bytes()
    assert (tmp_path / "second.nii.gz").read_bytes() == first


def test_data_of_another_grid_cannot_be_written(like: Path, tmp_path: Path) -> None:
    data, affine = read_volume(like)
    with pytest.raises(ValueError, match="not on the grid"):
        write_volume(tmp_path / "out.nii.gz", data[1:], affine, like)
    with pytest.raises(ValueError, match="not on the grid"):
        write_volume(tmp_path / "out.nii.gz", data, affine @ diagonal(1, 1, 1.01), like)
    assert not (tmp_path / "out.nii.gz").exists()


def image_of(
    data: Shaped[np.ndarray, "i j k *n"], slope: float = 1.0, inter: float = 0.0
) -> nib.Nifti1Image:
    """Image with these stored values, as it is loaded from a file."""
    image = nib.Nifti1Image(data, np.eye(4))
    image.header.set_slope_inter(slope, inter)
    return nib.Nifti1Image.from_bytes(image.to_bytes())


@given(
    seed=st.integers(0, 99),
    largest=st.sampled_from([3, 900, 5000, 16384, 32767]),
    slope=st.sampled_from([1.0, 0.125, 20.077600479125977, 303.155517578125]),
    data_type=st.sampled_from([np.int16, np.uint16]),
)
@settings(max_examples=60, deadline=None)
def test_values_of_the_input_stay_exact_and_others_are_off_by_half_a_step_at_most(
    seed: int, largest: int, slope: float, data_type: type[np.generic]
) -> None:
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, largest + 1, (2, 3, 4, 2)).astype(data_type)
    stored[0, 0, 0, 0] = largest
    template = image_of(stored, slope)
    measured = template.get_fdata(dtype=np.float32)
    predicted = measured * rng.random(stored.shape, np.float32)
    data = np.concatenate([measured, predicted], axis=-1)
    image = make_image_like(template, data, "input")
    written = nib.Nifti1Image.from_bytes(image.to_bytes())
    assert written.get_data_dtype() == np.int16
    read = written.get_fdata(dtype=np.float32)
    np.testing.assert_array_equal(read[..., :2], measured)
    assert np.abs(read - data).max() <= 2.0**-15 * data.max() * (1 + 1e-3)


@pytest.mark.parametrize(
    ("template", "output_type", "expected"),
    [
        (image_of(np.ones((2, 2, 2, 1), np.float32)), "input", np.float32),
        (image_of(np.ones((2, 2, 2, 1), np.int32)), "input", np.float32),
        (image_of(np.ones((2, 2, 2, 1), np.int16), 2.0, 7.0), "input", np.float32),
        (image_of(np.ones((2, 2, 2, 1), np.int16)), "float32", np.float32),
        (image_of(np.ones((2, 2, 2, 1), np.float32)), "int16", np.int16),
    ],
)
def test_only_short_integers_without_offset_are_written_as_such_unless_asked_for(
    template: nib.Nifti1Image, output_type: OutputType, expected: type
) -> None:
    data = np.linspace(-3.0, 5.0, 8, dtype=np.float32).reshape(2, 2, 2, 1)
    image = make_image_like(template, data, output_type)
    written = nib.Nifti1Image.from_bytes(image.to_bytes())
    assert written.get_data_dtype() == expected
    np.testing.assert_allclose(written.get_fdata(), data, atol=2.0**-15 * 5)


def test_an_image_of_zeros_is_written_as_zeros() -> None:
    zeros = np.zeros((2, 2, 2, 1), np.float32)
    image = make_image_like(image_of(np.ones(zeros.shape, np.int16)), zeros, "input")
    np.testing.assert_array_equal(image.get_fdata(), zeros)


def test_viewers_are_told_the_range_and_what_wrote_the_image(like: Path, tmp_path: Path) -> None:
    canonical, affine = read_volume(like)
    write_volume(tmp_path / "fa.nii.gz", canonical[..., 0], affine, like, display_max=1.0)
    header = load(tmp_path / "fa.nii.gz").header
    assert (header["cal_min"], header["cal_max"]) == (0.0, 1.0)
    assert header["descrip"].item().decode() == f"bids_shresnet {__version__}"
