from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float

from bids_shresnet.errors import BadInput, InputMissing
from bids_shresnet.io.images.nifti import read_dwi, read_labels, read_mask, read_volume
from bids_shresnet.io.images.nifti_writing import write_dwi
from bids_shresnet.runtime import spool
from bids_shresnet.runtime.scratch import use_scratch_folder
from bids_shresnet.scans import Dwi
from tests.io.grids import grids
from tests.io.nifti_files import BVALS, BVECS, SHAPE, diagonal, load, scan_at, store

ROTATED = np.array([[0.0, 2, 0, 1], [-2, 0, 0, 2], [0, 0, 2, 3], [0, 0, 0, 1]])
OTHER_GRIDS = [
    pytest.param(SHAPE, diagonal(2, 2, 2.002), "0.002 mm", id="voxel size"),
    pytest.param((2, 3, 5), diagonal(2, 2, 2), "(2, 3, 5)", id="shape"),
]


@given(affine=grids(), seed=st.integers(0, 9))
@settings(max_examples=60)
def test_reading_agrees_with_nibabel_and_gives_canonical_order(
    affine: Float[np.ndarray, "4 4"], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    values = np.random.default_rng(seed).integers(0, 9999, (*SHAPE, 2)).astype(np.int16)
    path = store(tmp_path_factory.getbasetemp() / "in.nii.gz", affine, values)
    oracle = nib.as_closest_canonical(load(path))
    data, canonical_affine = read_volume(path)
    np.testing.assert_array_equal(data, oracle.get_fdata())
    np.testing.assert_allclose(canonical_affine, oracle.affine, atol=1e-9)
    assert nib.aff2axcodes(canonical_affine) == ("R", "A", "S")
    assert data.dtype == np.float32
    assert data.flags.c_contiguous


@pytest.mark.parametrize(
    "batch_bytes", [1, 2 * 4 * np.prod(SHAPE)], ids=["one", "two, the last one"]
)
@pytest.mark.parametrize("is_spooled", [False, True])
@pytest.mark.parametrize("name", ["in.nii.gz", "in.nii"])
def test_a_series_read_in_parts_of_volumes_is_the_same(
    name: str,
    is_spooled: bool,
    batch_bytes: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(0).integers(0, 9999, (*SHAPE, 5)).astype(np.int16)
    path = store(tmp_path / name, ROTATED, values)
    data, affine = read_volume(path)
    monkeypatch.setattr(spool, "READ_BATCH_BYTES", batch_bytes)
    with use_scratch_folder(tmp_path / "work", should_spool=is_spooled):
        data_by_volume, same_affine = read_volume(path)
    assert isinstance(data_by_volume, np.memmap) == is_spooled
    np.testing.assert_array_equal(data_by_volume, data)
    np.testing.assert_array_equal(same_affine, affine)
    assert data.shape[:3] != SHAPE  # the axes were reordered


def test_signals_are_scaled_as_the_header_says(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    image = nib.Nifti1Image(np.full(SHAPE, 7, np.int16), diagonal(2, 2, 2))
    image.header.set_slope_inter(0.5, 10)
    image.header.set_data_dtype(np.int16)
    nib.save(image, path)
    stored = bytearray(gzip.decompress(path.read_bytes()))
    stored[352:] = np.full(SHAPE, 7, "<i2").tobytes()
    path.write_bytes(gzip.compress(bytes(stored)))
    assert set(read_volume(path)[0].ravel()) == {13.5}


@given(affine=grids(), storage=grids())
@settings(max_examples=30)
def test_a_segmentation_stored_in_another_order_on_the_same_grid_fits(
    affine: Float[np.ndarray, "4 4"],
    storage: Float[np.ndarray, "4 4"],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.getbasetemp()
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(SHAPE), affine)
    nib.save(image, folder / "image.nii.gz")
    nib.save(image.as_reoriented(nib.io_orientation(storage)), folder / "labels.nii.gz")
    data, canonical = read_volume(folder / "image.nii.gz")
    labels = read_labels(folder / "labels.nii.gz", data.shape[:3], canonical)
    mask = read_mask(folder / "labels.nii.gz", data.shape[:3], canonical)
    np.testing.assert_array_equal(labels, data)
    np.testing.assert_array_equal(mask, data > 0)


@pytest.mark.parametrize("factor", [1 - 1e-6, 1 + 1e-6])
def test_labels_stored_as_floats_or_with_a_slope_are_whole_numbers(
    factor: float, tmp_path: Path
) -> None:
    """A label of 3 comes back as 2.999997."""
    labels = np.arange(24).reshape(SHAPE)
    path = tmp_path / "labels.nii.gz"
    nib.save(nib.Nifti1Image(np.float32(labels * factor), diagonal(2, 2, 2)), path)
    np.testing.assert_array_equal(read_labels(path, SHAPE, diagonal(2, 2, 2)), labels)


@pytest.mark.parametrize(("shape", "affine", "value"), OTHER_GRIDS)
def test_a_mask_of_another_grid_is_refused_with_the_difference(
    shape: tuple[int, int, int], affine: Float[np.ndarray, "4 4"], value: str, tmp_path: Path
) -> None:
    path = store(tmp_path / "mask.nii.gz", affine, np.ones(shape, np.uint8))
    with pytest.raises(BadInput) as caught:
        read_mask(path, SHAPE, diagonal(2, 2, 2))
    (finding,) = caught.value.findings
    assert finding.file == str(path)
    assert value in finding.value


def test_rounding_of_a_header_does_not_make_another_grid(tmp_path: Path) -> None:
    path = store(tmp_path / "mask.nii.gz", diagonal(2, 2, 2.0002), np.ones(SHAPE, np.uint8))
    assert read_mask(path, SHAPE, diagonal(2, 2, 2)).all()


@pytest.mark.parametrize("name", ["text.nii.gz", "empty.nii"])
def test_a_file_that_is_no_image_is_bad_input(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"not gzip" if name.startswith("text") else b"")
    with pytest.raises(BadInput, match=name):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("shape", [(9, 9, 9), (9, 9, 9, 4)])
@pytest.mark.parametrize("name", ["cut.nii.gz", "cut.nii"])
def test_a_truncated_image_is_bad_input(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(shape)
    content = store(tmp_path / name, diagonal(2, 2, 2), values).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInput, match=name):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("shape", [(9, 9, 9), (9, 9, 9, 4)])
def test_a_compressed_image_with_one_changed_bit_is_never_read_as_other_values(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    path = store(tmp_path / "a.nii.gz", diagonal(2, 2, 2), rng.random(shape))
    intact = path.read_bytes()
    values, _ = read_volume(path)
    refused = 0
    for position in rng.integers(len(intact) // 2, len(intact), 30):
        damaged = bytearray(intact)
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            read, _ = read_volume(path)
        except BadInput:
            refused += 1
        else:
            np.testing.assert_array_equal(read, values)
    assert refused > 20


@pytest.mark.parametrize("shape", [(9, 9, 9), (9, 9, 9, 4)])
def test_bytes_after_an_image_are_read_without_taking_memory(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    path = store(tmp_path / "a.nii.gz", diagonal(2, 2, 2), np.random.default_rng(0).random(shape))
    values, _ = read_volume(path)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + bytes(2**26)))
    tracemalloc.start()
    read, _ = read_volume(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(read, values)
    assert peak < 2**23


def test_an_image_that_was_not_fetched_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").symlink_to(tmp_path / "gone")
    with pytest.raises(InputMissing, match="datalad get"):
        read_volume(tmp_path / "a.nii.gz")


@pytest.mark.parametrize(
    ("volume_count", "shear", "value"), [(3, 0.0, "3 volumes for 4 b-values"), (4, 0.2, "sheared")]
)
def test_a_scan_whose_files_contradict_each_other_is_refused(
    volume_count: int, shear: float, value: str, tmp_path: Path
) -> None:
    affine = diagonal(2, 2, 2)
    like = store(tmp_path / "like.nii.gz", affine)
    write_dwi(tmp_path / "a", Dwi(*read_volume(like), np.array(BVALS), BVECS), like)
    affine[0, 1] = shear * 2
    image = nib.Nifti1Image(np.zeros((*SHAPE, volume_count), np.float32), affine)
    image.set_qform(None, 0)
    nib.save(image, tmp_path / "a.nii.gz")
    with pytest.raises(BadInput, match=value):
        read_dwi(scan_at(tmp_path / "a"))
