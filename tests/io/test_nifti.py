from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float, Shaped

from bids_shresnet.errors import BadInput, InputMissing
from bids_shresnet.io.nifti import read_dwi, read_labels, read_mask, read_volume
from bids_shresnet.io.nifti_writing import write_dwi, write_volume
from bids_shresnet.runtime import spool
from bids_shresnet.runtime.scratch import use_scratch_folder
from bids_shresnet.scans import Dwi, Scan
from tests.factories import make_scan
from tests.io.grids import grids

SHAPE = (2, 3, 4)
CODES = st.sampled_from([(0, 1), (1, 0), (1, 1), (2, 1), (1, 4)])  # qform, sform
BVALS = (0.0, 1000.0, 1000.0, 2000.0)
BVECS = np.array([[0, 0, 0], [1, 0, 0], [0, 0.6, 0.8], [0, -0.8, 0.6]])


def store(
    path: Path,
    affine: Float[np.ndarray, "4 4"],
    data: Shaped[np.ndarray, "i j k *n"] | None = None,
    codes: tuple[int, int] = (1, 1),
) -> Path:
    """Write an image by nibabel alone, with a header full of things that are nobody's business."""
    image = nib.Nifti1Image(np.zeros((*SHAPE, 4), np.int16) if data is None else data, affine)
    image.set_qform(affine, codes[0])
    image.set_sform(affine, codes[1])
    image.header["descrip"] = b"/home/jane"
    image.header["db_name"] = b"jane"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"jane"))
    if image.ndim == 4:
        image.header.set_zooms((*image.header.get_zooms()[:3], 8.5))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    return path


def load(path: Path) -> Any:
    """Open an image by nibabel, whose types forget what kind of image it is."""
    return nib.load(path)


def scan_of(stem: Path) -> Scan:
    return make_scan(stem, bvals=BVALS)


def straight(*diagonal: float) -> Float[np.ndarray, "4 4"]:
    return np.diag([*diagonal, 1.0])


@given(affine=grids(), seed=st.integers(0, 9))
@settings(max_examples=60)
def test_reading_agrees_with_nibabel_and_looks_right_anterior_superior(
    affine: Float[np.ndarray, "4 4"], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = np.random.default_rng(seed).integers(0, 9999, (*SHAPE, 2)).astype(np.int16)
    path = store(tmp_path_factory.getbasetemp() / "in.nii.gz", affine, data)
    oracle = nib.as_closest_canonical(load(path))
    read, read_affine = read_volume(path)
    np.testing.assert_array_equal(read, oracle.get_fdata())
    np.testing.assert_allclose(read_affine, oracle.affine, atol=1e-9)
    assert nib.aff2axcodes(read_affine) == ("R", "A", "S")
    assert read.dtype == np.float32
    assert read.flags.c_contiguous


@pytest.mark.parametrize("spooled", [False, True])
@pytest.mark.parametrize("name", ["in.nii.gz", "in.nii"])
def test_a_series_read_volume_by_volume_is_the_same(
    name: str, spooled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = np.random.default_rng(0).integers(0, 9999, (*SHAPE, 5)).astype(np.int16)
    path = store(
        tmp_path / name, np.array([[0, 2, 0, 1], [-2, 0, 0, 2], [0, 0, 2, 3], [0, 0, 0, 1]]), data
    )
    whole, affine = read_volume(path)
    monkeypatch.setattr(spool, "READ_BATCH_BYTES", 1)
    with use_scratch_folder(tmp_path / "work", should_spool=spooled):
        pieces, same = read_volume(path)
    assert isinstance(pieces, np.memmap) == spooled
    np.testing.assert_array_equal(pieces, whole)
    np.testing.assert_array_equal(same, affine)
    assert pieces.shape[:3] != SHAPE  # or the axes had not been turned


@given(affine=grids(), codes=CODES, seed=st.integers(0, 9))
@settings(max_examples=60)
def test_a_written_scan_comes_back_on_the_grid_of_its_input(
    affine: Float[np.ndarray, "4 4"],
    codes: tuple[int, int],
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    like = store(folder / "like.nii.gz", affine, codes=codes)
    canonical, canonical_affine = read_volume(like)
    data = np.random.default_rng(seed).random(canonical.shape, np.float32)
    dwi = Dwi(data, canonical_affine, np.array(BVALS), BVECS)
    write_dwi(folder / "out", dwi, like)
    back = read_dwi(scan_of(folder / "out"))
    np.testing.assert_array_equal(back.data, data)
    np.testing.assert_array_equal(back.affine, canonical_affine)
    np.testing.assert_array_equal(back.bvals, BVALS)
    np.testing.assert_allclose(back.bvecs, BVECS, atol=2e-6)

    written, original = load(folder / "out.nii.gz").header, load(like).header
    np.testing.assert_array_equal(load(folder / "out.nii.gz").affine, load(like).affine)
    for field in (
        "qform_code",
        "sform_code",
        "quatern_b",
        "qoffset_x",
        "srow_x",
        "srow_z",
        "dim",
        "pixdim",
    ):
        np.testing.assert_array_equal(written[field], original[field], err_msg=field)


def test_a_file_that_fsl_reads_has_its_vectors_along_the_image(tmp_path: Path) -> None:
    # the same head, stored twice: radiological (determinant < 0) and neurological
    for name, sign, first in (("las", -1, 1), ("ras", 1, -1)):
        like = store(tmp_path / f"{name}.nii.gz", straight(2.0 * sign, 2, 2))
        data, affine = read_volume(like)
        write_dwi(tmp_path / f"{name}_out", Dwi(data, affine, np.array(BVALS), BVECS), like)
        table = np.loadtxt(tmp_path / f"{name}_out.bvec")
        np.testing.assert_allclose(table, (BVECS * [sign * first, 1, 1]).T, atol=1e-6)
        assert (tmp_path / f"{name}_out.bval").read_text() == "0 1000 1000 2000\n"


def test_masks_become_uint8_and_maps_float32_without_scaling(tmp_path: Path) -> None:
    like = store(tmp_path / "like.nii.gz", straight(-2, 2, 2))
    _, affine = read_volume(like)
    for name, data, kind in (
        ("mask", np.ones(SHAPE, bool), np.uint8),
        ("fa", np.full(SHAPE, 0.3), np.float32),
    ):
        write_volume(tmp_path / f"{name}.nii.gz", data, affine, like)
        header = load(tmp_path / f"{name}.nii.gz").header
        assert header.get_data_dtype() == kind
        assert header.get_slope_inter() == (None, None)
        assert header.get_xyzt_units() == ("mm", "sec")


def test_nothing_personal_of_the_input_is_written(tmp_path: Path) -> None:
    like = store(tmp_path / "like.nii.gz", straight(2, 2, 2))
    data, affine = read_volume(like)
    write_volume(tmp_path / "out.nii.gz", data, affine, like)
    assert b"jane" in gzip.decompress(like.read_bytes())
    assert b"jane" not in gzip.decompress((tmp_path / "out.nii.gz").read_bytes())
    assert not load(tmp_path / "out.nii.gz").header.extensions


def test_a_repetition_time_in_milliseconds_is_written_in_seconds(tmp_path: Path) -> None:
    image = load(store(tmp_path / "a.nii.gz", straight(2, 2, 2)))
    image.header["pixdim"][4] = 8500
    image.header.set_xyzt_units("mm", "msec")
    nib.save(image, tmp_path / "like.nii.gz")
    data, affine = read_volume(tmp_path / "like.nii.gz")
    write_volume(tmp_path / "out.nii.gz", data, affine, tmp_path / "like.nii.gz")
    assert load(tmp_path / "out.nii.gz").header.get_zooms() == (2, 2, 2, 8.5)


def test_an_image_that_names_no_space_is_written_as_scanner_space(tmp_path: Path) -> None:
    like = store(tmp_path / "like.nii.gz", straight(2, 2, 2), codes=(0, 0))
    data, affine = read_volume(like)
    write_volume(tmp_path / "out.nii.gz", data, affine, like)
    written = load(tmp_path / "out.nii.gz")
    assert (int(written.header["qform_code"]), int(written.header["sform_code"])) == (0, 1)
    np.testing.assert_allclose(written.affine, load(like).affine)


def test_equal_data_give_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    like = store(tmp_path / "like.nii.gz", straight(2, 2, 2))
    data, affine = read_volume(like)
    write_volume(tmp_path / "one.nii.gz", data, affine, like)
    monkeypatch.setattr("time.time", lambda: 2e9)
    write_volume(tmp_path / "two.nii.gz", data, affine, like)
    assert (tmp_path / "one.nii.gz").read_bytes() == (tmp_path / "two.nii.gz").read_bytes()


def test_data_of_another_grid_cannot_be_written(tmp_path: Path) -> None:
    like = store(tmp_path / "like.nii.gz", straight(2, 2, 2))
    data, affine = read_volume(like)
    with pytest.raises(ValueError, match="not on the grid"):
        write_volume(tmp_path / "out.nii.gz", data[1:], affine, like)
    with pytest.raises(ValueError, match="not on the grid"):
        write_volume(tmp_path / "out.nii.gz", data, affine @ straight(1, 1, 1.01), like)
    assert not (tmp_path / "out.nii.gz").exists()


def test_signals_are_scaled_as_the_header_says(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.full(SHAPE, 7, np.int16), straight(2, 2, 2))
    image.header.set_slope_inter(0.5, 10)
    image.header.set_data_dtype(np.int16)
    nib.save(image, tmp_path / "a.nii.gz")
    stored = bytearray(gzip.decompress((tmp_path / "a.nii.gz").read_bytes()))
    stored[352:] = np.full(SHAPE, 7, "<i2").tobytes()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(bytes(stored)))
    assert set(read_volume(tmp_path / "a.nii.gz")[0].ravel()) == {13.5}


@given(affine=grids(), storage=grids())
@settings(max_examples=30)
def test_a_segmentation_stored_another_way_on_the_same_grid_fits(
    affine: Float[np.ndarray, "4 4"],
    storage: Float[np.ndarray, "4 4"],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    labels = np.arange(24, dtype=np.int16).reshape(SHAPE)
    image = nib.Nifti1Image(labels, affine)
    other = image.as_reoriented(nib.io_orientation(storage))
    nib.save(image, folder / "image.nii.gz")
    nib.save(other, folder / "labels.nii.gz")
    data, canonical = read_volume(folder / "image.nii.gz")
    read = read_labels(folder / "labels.nii.gz", data.shape[:3], canonical)
    np.testing.assert_array_equal(read, data)
    np.testing.assert_array_equal(
        read_mask(folder / "labels.nii.gz", data.shape[:3], canonical), data > 0
    )


@pytest.mark.parametrize(
    ("shape", "affine", "value"),
    [
        pytest.param(SHAPE, straight(2, 2, 2.002), "0.002 mm", id="voxel size"),
        pytest.param((2, 3, 5), straight(2, 2, 2), "(2, 3, 5)", id="shape"),
    ],
)
def test_a_mask_of_another_grid_is_refused_with_what_differs(
    shape: tuple[int, int, int], affine: Float[np.ndarray, "4 4"], value: str, tmp_path: Path
) -> None:
    path = store(tmp_path / "mask.nii.gz", affine, np.ones(shape, np.uint8))
    with pytest.raises(BadInput) as refusal:
        read_mask(path, SHAPE, straight(2, 2, 2))
    (finding,) = refusal.value.findings
    assert finding.file == str(path)
    assert value in finding.value


def test_rounding_of_a_header_does_not_make_a_grid_another_one(tmp_path: Path) -> None:
    path = store(tmp_path / "mask.nii.gz", straight(2, 2, 2.0002), np.ones(SHAPE, np.uint8))
    assert read_mask(path, SHAPE, straight(2, 2, 2)).all()


def test_damaged_images_are_bad_input_and_not_a_crash(tmp_path: Path) -> None:
    whole = store(
        tmp_path / "whole.nii.gz", straight(2, 2, 2), np.random.default_rng(0).random((9, 9, 9))
    ).read_bytes()
    contents = {
        "text.nii.gz": b"not gzip",
        "cut.nii.gz": whole[: len(whole) // 2],
        "empty.nii": b"",
    }
    contents["cut.nii"] = gzip.decompress(whole)[:2000]
    series = store(
        tmp_path / "series.nii.gz", straight(2, 2, 2), np.random.default_rng(0).random((9, 9, 9, 4))
    )
    contents["part.nii.gz"] = series.read_bytes()[: len(series.read_bytes()) // 2]
    contents["part.nii"] = gzip.decompress(series.read_bytes())[:9000]
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match=name):
            read_volume(tmp_path / name)


def test_an_image_that_was_not_fetched_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").symlink_to(tmp_path / "gone")
    with pytest.raises(InputMissing, match="datalad get"):
        read_volume(tmp_path / "a.nii.gz")


@pytest.mark.parametrize(
    ("volumes", "shear", "value"), [(3, 0.0, "3 volumes for 4 b-values"), (4, 0.2, "sheared")]
)
def test_a_scan_that_contradicts_itself_is_refused(
    volumes: int, shear: float, value: str, tmp_path: Path
) -> None:
    affine = straight(2, 2, 2)
    like = store(tmp_path / "like.nii.gz", affine)
    write_dwi(tmp_path / "a", Dwi(*read_volume(like), np.array(BVALS), BVECS), like)
    affine[0, 1] = shear * 2
    image = nib.Nifti1Image(np.zeros((*SHAPE, volumes), np.float32), affine)
    image.set_qform(None, 0)
    nib.save(image, tmp_path / "a.nii.gz")
    with pytest.raises(BadInput, match=value):
        read_dwi(scan_of(tmp_path / "a"))
