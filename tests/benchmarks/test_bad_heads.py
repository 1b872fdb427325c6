from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from benchmarks.bad_heads import (
    SLICE_COUNT,
    cut_to_slab,
    find_unnamed,
    flip_image,
    have_same_content,
    list_bad_heads,
    write_variants,
)
from bids_shresnet.io.safetensors import serialize_arrays
from bids_shresnet.io.storage import write_tsv
from tests.images import load_image
from tests.inventories import write_heads

LABELS = [f"{number:02d}" for number in range(1, 8)]
SHAPE = (4, 5, 9, 2)
AFFINE = np.array([[-2.0, 0, 0, 9], [0, 2, 0, 8], [0, 0, 3, 7], [0, 0, 0, 1]])
Rows = list[dict[str, object]]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "dwi.nii.gz"
    values = np.random.default_rng(1).integers(0, 1000, SHAPE).astype(np.int16)
    nib.save(nib.Nifti1Image(values, AFFINE), path)
    return path


def test_a_flip_turns_the_voxels_and_leaves_the_affine(image: Path) -> None:
    before = load_image(image)
    values = np.asarray(before.dataobj).copy()
    flip_image(image)
    after = load_image(image)
    np.testing.assert_array_equal(np.asarray(after.dataobj), values[::-1])
    np.testing.assert_array_equal(after.affine, before.affine)
    assert after.get_data_dtype() == np.int16


def test_a_slab_has_the_slices_in_the_middle_at_their_places(image: Path) -> None:
    before = load_image(image)
    values = np.asarray(before.dataobj).copy()
    cut_to_slab(image)
    slab = load_image(image)
    np.testing.assert_array_equal(np.asarray(slab.dataobj), values[:, :, 3:6])
    np.testing.assert_allclose(slab.affine @ [0, 0, 0, 1], AFFINE @ [0, 0, 3, 1])


def test_three_heads_are_damaged_and_the_clean_dataset_lacks_them(tmp_path: Path) -> None:
    bids = write_heads(tmp_path / "bids", LABELS)
    for number, path in enumerate(sorted(bids.rglob("*.nii.gz"))):
        values = np.full((3, 3, 5, 7), number, np.int16)
        values[0] += 100
        nib.save(nib.Nifti1Image(values, AFFINE), path)
    untouched = shutil.copytree(bids, tmp_path / "untouched")
    write_variants(bids, tmp_path / "out")
    bad_heads = list_bad_heads(tmp_path / "out")
    assert bad_heads == ["01", "03", "05"]
    damaged = tmp_path / "out/damaged/bids"
    names = [path.relative_to(bids) for path in sorted(bids.rglob("*.*")) if path.is_file()]
    changed = [name for name in names if not have_same_bytes(damaged / name, bids / name)]
    assert [name.parts[0] for name in changed] == ["sub-01", "sub-03", "sub-05"]
    assert load_image(damaged / changed[1]).shape[2] == SLICE_COUNT
    other = bids / str(changed[0]).replace("sub-01", "sub-07")
    assert have_same_bytes(damaged / changed[0], other)
    clean = tmp_path / "out/clean/bids"
    for name in names:
        is_bad = name.parts[0].removeprefix("sub-") in bad_heads
        assert (clean / name).exists() != is_bad
        assert have_same_bytes(bids / name, untouched / name)


def have_same_bytes(first: Path, second: Path) -> bool:
    return first.read_bytes() == second.read_bytes()


def test_networks_are_compared_by_their_bits_and_not_by_their_records(tmp_path: Path) -> None:
    weights = {"a": np.array([1.0, 2.0], np.float32)}
    other = {"a": np.nextafter(weights["a"], 3)}
    contents = {"first": (weights, 1), "second": (weights, 2), "third": (other, 1)}
    for name, (arrays, record) in contents.items():
        (tmp_path / f"{name}.safetensors").write_bytes(serialize_arrays(arrays, {"n": record}))
    paths = [tmp_path / f"{name}.safetensors" for name in contents]
    assert have_same_content(paths[0], paths[1])
    assert not have_same_content(paths[0], paths[2])


@pytest.mark.parametrize(
    ("left_out", "status", "page", "violations"),
    [
        ("flipped", "not trained on: flipped", "sub-02 was not trained on: flipped.", 0),
        ("", "not trained on: flipped", "sub-02 was not trained on: flipped.", 1),
        ("flipped", "", "sub-02 was not trained on: flipped.", 1),
        ("flipped", "not trained on: flipped", "", 1),
    ],
)
def test_a_bad_head_is_named_in_both_tables_and_on_the_page(
    tmp_path: Path, left_out: str, status: str, page: str, violations: int
) -> None:
    root = tmp_path / "results/derivatives/shresnet"
    registrations: Rows = [
        {"subject": "01", "excluded": ""},
        {"subject": "02", "excluded": left_out},
    ]
    write_tsv(root / "models/m/registration.tsv", registrations)
    statuses: Rows = [{"subject": "02", "reason": status}]
    write_tsv(root / "logs/a/status.tsv", statuses)
    (root / "group.html").write_text(page)
    unnamed = list(find_unnamed(root / "models/m", tmp_path / "results", ["02"]))
    assert len(unnamed) == violations
