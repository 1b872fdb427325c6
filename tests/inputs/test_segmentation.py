from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from jaxtyping import Float, Shaped

from bids_shresnet.errors import BadInput
from bids_shresnet.inputs.qsiprep import QSIPREP_LABELS
from bids_shresnet.inputs.segmentation import (
    read_label_names,
    read_label_tissues,
    read_regions,
    read_tissue,
)
from bids_shresnet.regions import Parcellation
from bids_shresnet.scans import LabelImage, ProbabilityMaps, Tissue
from tests.datasets import TISSUE_TABLE, write_tree

LABELS = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)


def write_image(
    path: Path, data: Shaped[np.ndarray, "i j k"], affine: Float[np.ndarray, "4 4"]
) -> Path:
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def write_maps(folder: Path, maps: Mapping[Tissue, Float[np.ndarray, "i j k"]]) -> ProbabilityMaps:
    paths = {
        tissue: write_image(folder / f"{tissue.name}.nii.gz", data, np.eye(4))
        for tissue, data in maps.items()
    }
    return ProbabilityMaps(paths)


def test_the_name_of_a_label_sets_the_tissue_and_not_its_number(tmp_path: Path) -> None:
    write_tree(tmp_path, {"sub-01_dseg.tsv": TISSUE_TABLE})
    image = write_image(tmp_path / "sub-01_dseg.nii.gz", LABELS, np.eye(4))
    labels = read_label_tissues([tmp_path / "sub-01_dseg.tsv"], "")
    tissue = read_tissue(LabelImage(image, labels), (2, 2, 2), np.eye(4))
    expected = [0, Tissue.CSF, Tissue.GM, Tissue.WM, 0, 0, 0, 0]
    np.testing.assert_array_equal(tissue.ravel(), expected)


@pytest.mark.parametrize("index", ["one", "1.5", "nan", "inf"])
def test_an_index_that_is_no_whole_number_is_bad_input(index: str, tmp_path: Path) -> None:
    table = [("index", "name"), (index, "GM")]
    write_tree(tmp_path, {"sub-01_dseg.tsv": table})
    tables = [tmp_path / "sub-01_dseg.tsv"]
    with pytest.raises(BadInput, match=index):
        read_label_tissues(tables, "")
    with pytest.raises(BadInput, match=index):
        read_label_names(tables)


def test_whole_numbers_may_be_written_as_floats(tmp_path: Path) -> None:
    table = [("index", "name"), ("0.0", "none"), ("2.0", "GM")]
    write_tree(tmp_path, {"sub-01_dseg.tsv": table})
    tables = [tmp_path / "sub-01_dseg.tsv"]
    assert read_label_tissues(tables, "") == {2: Tissue.GM}
    assert read_label_names(tables) == {2: "GM"}


@pytest.mark.parametrize(
    ("name", "tissue"),
    [
        ("Grey matter", Tissue.GM),
        ("GM", Tissue.GM),
        ("white_matter", Tissue.WM),
        ("wm", Tissue.WM),
        ("Cerebrospinal Fluid", Tissue.CSF),
        ("cerebellum white matter lesion", None),
        ("background", None),
    ],
)
def test_tissues_are_known_by_their_common_names(
    tmp_path: Path, name: str, tissue: Tissue | None
) -> None:
    write_tree(tmp_path, {"dseg.tsv": [("index", "name"), ("7", name)]})
    expected = {} if tissue is None else {7: tissue}
    assert read_label_tissues([tmp_path / "dseg.tsv"], "") == expected


def test_without_a_table_only_the_numbers_of_qsiprep_are_known() -> None:
    assert read_label_tissues([], "qsiprep") == {1: Tissue.CSF, 2: Tissue.GM, 3: Tissue.WM}
    assert read_label_tissues([], "fmriprep") == read_label_tissues([], "") == {}


def test_the_closest_table_counts_and_not_the_numbers_of_the_pipeline(tmp_path: Path) -> None:
    rows = {f"{n}_dseg.tsv": [("index", "name"), (str(n), "GM")] for n in (5, 6)}
    write_tree(tmp_path, rows)
    assert read_label_tissues([tmp_path / name for name in rows], "qsiprep") == {6: Tissue.GM}


def test_regions_are_named_by_the_closest_table_and_the_background_is_none(tmp_path: Path) -> None:
    other = [("index", "name"), ("4", "fornix")]
    table = [("index", "name"), ("0", "background"), ("4", "cingulum"), ("12", "body")]
    write_tree(tmp_path, {"a_dseg.tsv": other, "b_dseg.tsv": table})
    tables = [tmp_path / "a_dseg.tsv", tmp_path / "b_dseg.tsv"]
    assert read_label_names(tables) == {4: "cingulum", 12: "body"}
    assert read_label_names([]) == {}


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, -1, 1), (1, -1, -1)])
def test_labels_on_a_finer_grid_are_those_of_the_nearest_voxel(
    flips: tuple[int, int, int], tmp_path: Path
) -> None:
    """The oracle looks every voxel up by its position in mm."""
    fine = np.diag([*np.array(flips) * 0.5, 1.0])
    fine[:3, 3] = [3.0, -2.0, 5.0]
    data = np.random.default_rng(1).integers(0, 4, (9, 8, 7)).astype(np.uint8)
    image = write_image(tmp_path / "dseg.nii.gz", data, fine)
    last_voxel = np.array(data.shape) - 1
    coarse = np.diag([1.1, 1.1, 1.1, 1.0])
    corners = nib.affines.apply_affine(fine, [[0, 0, 0], last_voxel])
    coarse[:3, 3] = corners.min(axis=0) - 0.4  # begins outside
    shape = (5, 5, 4)

    tissue = read_tissue(LabelImage(image, QSIPREP_LABELS), shape, coarse)
    regions = read_regions(Parcellation(image, {}), shape, coarse)

    positions = nib.affines.apply_affine(np.linalg.inv(fine) @ coarse, np.argwhere(np.ones(shape)))
    is_inside = ((positions >= 0) & (positions <= last_voxel)).all(axis=1)
    nearest = np.clip(np.rint(positions).astype(int), 0, last_voxel)
    labels = np.where(is_inside, data[tuple(nearest.T)], 0)
    assert is_inside.sum() > 10
    expected = np.array([0, Tissue.CSF, Tissue.GM, Tissue.WM])[labels]
    np.testing.assert_array_equal(tissue.ravel(), expected)
    np.testing.assert_array_equal(regions.ravel(), labels)


def test_the_most_probable_tissue_counts_where_tissue_is_more_probable_than_none(
    tmp_path: Path,
) -> None:
    grey = np.array([0.9, 0.3, 0.2, 0.1]).reshape(4, 1, 1)
    white = np.array([0.1, 0.6, 0.2, 0.1]).reshape(4, 1, 1)
    csf = np.array([0.0, 0.1, 0.6, 0.1]).reshape(4, 1, 1)
    maps = write_maps(tmp_path, {Tissue.GM: grey, Tissue.WM: white, Tissue.CSF: csf})
    tissue = read_tissue(maps, (4, 1, 1), np.eye(4))
    np.testing.assert_array_equal(tissue.ravel(), [Tissue.GM, Tissue.WM, Tissue.CSF, 0])


def test_probabilities_on_another_grid_are_interpolated(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 5).reshape(5, 1, 1) * np.ones((5, 2, 2))
    maps = write_maps(tmp_path, {Tissue.GM: 1 - ramp, Tissue.WM: ramp})
    between = np.eye(4)
    between[0, 3] = 0.6  # 0.6, 1.6, 2.6 mm: probabilities of white matter 0.15, 0.4 and 0.65
    tissue = read_tissue(maps, (3, 2, 2), between)
    np.testing.assert_array_equal(tissue[:, 0, 0], [Tissue.GM, Tissue.GM, Tissue.WM])
