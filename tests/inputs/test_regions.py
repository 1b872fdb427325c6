from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.inputs.find import find_dwi
from bids_shresnet.inputs.regions import read_region_weights
from bids_shresnet.regions import Parcellation, RegionMaps, Regions
from tests.datasets import AFFINE, Series, write_tree

BRAIN = np.ones((2, 2, 2), np.uint8)
STEM = "sub-01/dwi/sub-01_"


def find_sets(folder: Path, *names: str) -> dict[str, dict[str, str]]:
    """Names of the files of each region, by set, of a derivative with these masks."""
    raw = write_tree(folder / "raw", {f"{STEM}dwi": Series()})
    tree = {f"{STEM}{name}.nii.gz": BRAIN for name in names}
    (file,) = find_dwi(raw, {"d": write_tree(folder / "d", tree)})
    sets = {}
    for regions in file.regions:
        assert isinstance(regions, RegionMaps)
        sets[regions.label] = {name: path.name for name, path in regions.paths.items()}
    return sets


@pytest.mark.parametrize(
    ("first", "second", "label"),
    [
        ("bundle-CST_mask", "bundle-SLF_mask", "bundles"),
        ("tract-CST_mask", "tract-SLF_mask", "tracts"),
        ("seg-Yeo_label-CST_probseg", "seg-Yeo_label-SLF_probseg", "Yeo"),
        ("desc-CST_mask", "desc-SLF_mask", "regions"),
    ],
)
def test_masks_whose_names_differ_in_the_region_are_one_set(
    first: str, second: str, label: str, tmp_path: Path
) -> None:
    files = {"CST": f"sub-01_{first}.nii.gz", "SLF": f"sub-01_{second}.nii.gz"}
    assert find_sets(tmp_path, first, second) == {label: files}


def test_brain_masks_and_tissues_are_no_regions(tmp_path: Path) -> None:
    names = ["desc-brain_mask", "label-WM_probseg", "label-GM_probseg", "label-CSF_mask"]
    assert find_sets(tmp_path, *names) == {}


@pytest.mark.parametrize("kind", ["parcellation", "mask", "probseg"])
def test_weights_are_those_of_the_image_on_the_grid(kind: str, tmp_path: Path) -> None:
    image = np.zeros((3, 3, 3), np.float32)
    image[0] = 0.25
    image[1] = 2.0
    path = tmp_path / f"sub-01_label-CST_{kind}.nii.gz"
    write_tree(tmp_path, {path.name: image})
    regions: Regions = RegionMaps({"CST": path})
    expected = {"mask": image > 0, "probseg": image}.get(kind, image == 2)
    if kind == "parcellation":
        regions = Parcellation(path, {2: "CST"})
    ((name, weights),) = read_region_weights(regions, image.shape, AFFINE)
    assert name == "CST"
    np.testing.assert_array_equal(weights, expected)
