from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_shresnet.files.segmentation import label_names, read_tissue
from bids_shresnet.scans import Tissue
from tests.datasets import TISSUES, write_tree

NUMBERED = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)


def test_tissue_goes_by_the_name_of_a_label_and_not_by_its_number(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(NUMBERED, np.eye(4)), tmp_path / "sub-01_dseg.nii.gz")
    write_tree(tmp_path, {"sub-01_dseg.tsv": TISSUES})
    tissue = read_tissue(tmp_path / "sub-01_dseg.nii.gz", (2, 2, 2), np.eye(4))
    expected = [0, Tissue.CSF, Tissue.GM, Tissue.WM, 0, 0, 0, 0]
    np.testing.assert_array_equal(tissue.ravel(), expected)


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
def test_tissues_are_known_by_their_common_names(tmp_path: Path, name: str, tissue: Tissue | None) -> None:
    write_tree(tmp_path, {"dseg.tsv": [("index", "name"), ("7", name)]})
    assert label_names(tmp_path / "dseg.nii.gz") == ({} if tissue is None else {7: tissue})


def test_without_a_table_no_label_has_a_name(tmp_path: Path) -> None:
    assert label_names(tmp_path / "dseg.nii.gz") == {}
