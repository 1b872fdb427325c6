from __future__ import annotations

import filecmp
import shutil
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from benchmarks.bad_heads import (
    CLEAN,
    DAMAGED,
    SLICE_COUNT,
    cut_to_slab,
    find_unnamed,
    find_violations,
    flip_image,
    list_bad_heads,
    write_variants,
)
from bids_shresnet.io.storage import write_tsv
from tests.images import load_image
from tests.inventories import write_heads
from tests.models import constant_model

LABELS = [f"{number:02d}" for number in range(1, 8)]
SHAPE = (4, 5, 9, 2)
AFFINE = np.array([[-2.0, 0, 0, 9], [0, 2, 0, 8], [0, 0, 3, 7], [0, 0, 0, 1]])
Rows = list[dict[str, object]]
is_same = partial(filecmp.cmp, shallow=False)


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
    changed = [name for name in names if not is_same(damaged / name, bids / name)]
    assert [name.parts[0] for name in changed] == ["sub-01", "sub-03", "sub-05"]
    assert load_image(damaged / changed[1]).shape[2] == SLICE_COUNT
    other = bids / str(changed[0]).replace("sub-01", "sub-07")
    assert is_same(damaged / changed[0], other)
    clean = tmp_path / "out/clean/bids"
    for name in names:
        is_bad = name.parts[0].removeprefix("sub-") in bad_heads
        assert (clean / name).exists() != is_bad
        assert is_same(bids / name, untouched / name)


def test_files_of_the_models_that_differ_are_named_but_not_their_registrations(
    tmp_path: Path,
) -> None:
    bids = write_heads(tmp_path / "bids", LABELS[:3])
    damaged = tmp_path / DAMAGED / "results/derivatives/shresnet"
    model = constant_model(damaged / "models/from-GE_to-Prisma", bids)
    write_tsv(model.folder / "heldout.tsv", [{"nmse": 0.1}])
    write_tsv(model.folder / "registration.tsv", [{"subject": "01", "excluded": ""}])
    (damaged / "group.html").write_text("")
    shutil.copytree(tmp_path / DAMAGED, tmp_path / CLEAN)
    (model.folder / "registration.tsv").write_text("subject\texcluded\n02\tn/a\n")
    assert list(find_violations(tmp_path)) == []
    (model.folder / "training.tsv").write_text("")
    write_tsv(model.folder / "heldout.tsv", [{"nmse": 0.2}])
    violations = ["only one of the models has training.tsv", "the models differ in heldout.tsv"]
    assert list(find_violations(tmp_path)) == violations


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
