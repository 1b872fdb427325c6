from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.errors import InputMissing
from bids_shresnet.inputs.dwi_file import read_gradients
from bids_shresnet.inputs.find import find_dwi
from tests.datasets import GE, Series, write_tree


@pytest.mark.parametrize(
    "folder", ["", "sub-01/sub-01_", "sub-01/ses-a/sub-01_ses-a_", "sub-01/ses-a/dwi/sub-01_ses-a_"]
)
def test_gradient_tables_are_inherited_from_every_level(tmp_path: Path, folder: str) -> None:
    series = Series(tables=False)
    tables = {
        f"{folder}dwi{extension}": text for extension, text in series.gradient_tables().items()
    }
    (file,) = find_dwi(
        write_tree(tmp_path, tables | {"sub-01/ses-a/dwi/sub-01_ses-a_acq-b1_dwi": series}), {}
    )
    bvals, bvecs = read_gradients(file)
    np.testing.assert_array_equal(bvals, series.bvals)
    np.testing.assert_allclose(bvecs, series.bvecs, atol=1e-6)


def test_entities_are_those_of_the_file_name_with_their_zeros(tmp_path: Path) -> None:
    root = tmp_path / "sub-elsewhere" / "ses-x" / "desc-y"
    (file,) = find_dwi(
        write_tree(root, {"sub-01/dwi/sub-01_acq-b1_dir-AP_run-007_dwi": Series()}), {}
    )
    assert file.entities == {
        "subject": "01",
        "acquisition": "b1",
        "direction": "AP",
        "run": "007",
    }


def test_only_dwi_and_their_maps_are_found(tmp_path: Path) -> None:
    image = np.zeros((2, 2, 2), np.int16)
    names = [
        "dwi/sub-01_ADC",
        "dwi/sub-01_sbref",
        "anat/sub-01_T1w",
        "func/sub-01_task-dwi_bold",
        "fmap/sub-01_epi",
    ]
    tree = {f"sub-01/{name}.nii.gz": image for name in names} | {"sub-01/dwi/sub-01_dwi": Series()}
    tree |= {
        f"{folder}/sub-01/dwi/sub-01_dwi": Series()
        for folder in ("derivatives/x", "sourcedata", "code")
    }
    files = find_dwi(write_tree(tmp_path, tree), {})
    assert [file.image.name for file in files] == ["sub-01_ADC.nii.gz", "sub-01_dwi.nii.gz"]


def test_the_dataset_is_not_written_to(tmp_path: Path) -> None:
    write_tree(tmp_path, {"sub-01/dwi/sub-01_dwi": Series(sidecar=GE)})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    find_dwi(tmp_path, {})
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_what_is_no_dataset_is_refused_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "ds001").mkdir()
    with pytest.raises(InputMissing, match=r"dataset_description\.json, but ds001"):
        find_dwi(tmp_path, {})
    with pytest.raises(InputMissing, match=str(tmp_path)):
        find_dwi(tmp_path / "no" / "where", {})
