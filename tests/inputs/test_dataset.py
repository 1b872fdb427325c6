from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bids.layout import BIDSLayout

from bids_shresnet.errors import UsageError
from bids_shresnet.inputs.dataset import DATABASE_FILE_NAME, BidsDataset, list_files
from tests.datasets import GE, Series, write_tree

IMAGE = np.zeros((2, 2, 2), np.int16)
LISTED = [
    "dwi.json",
    "sub-01/dwi/sub-01_acq-x_dwi.nii.gz",
    "sub-01/dwi/sub-01_acq-x_dwi.bval",
    "sub-01/dwi/sub-01_acq-x_dwi.bvec",
    "sub-01/dwi/sub-01_acq-x_dwi.json",
    "sub-01/dwi/sub-01_ADC.nii.gz",
    "sub-012/ses-a/anat/sub-012_ses-a_dseg.nii.gz",
    "sub-012/ses-a/sub-012_ses-a_dwi.json",
]
OTHERS = [
    "sub-01/anat/sub-01_T1w.nii.gz",
    "code/dwi.json",
    "sub-01/func/sub-01_dwi.json",
    "derivatives/a/sub-01_dwi.json",
]


def tree(root: Path) -> Path:
    write_tree(
        root,
        {
            name: {} if name.endswith("json") else IMAGE
            for name in [*LISTED, *OTHERS]
            if name[-3] != "v"
        },
    )
    return write_tree(root, {"sub-01/dwi/sub-01_acq-x_dwi": Series(sidecar=GE)})


@pytest.mark.parametrize("with_database", [False, True])
def test_what_may_belong_to_a_dwi_is_listed_and_nothing_else(
    tmp_path: Path, with_database: bool
) -> None:
    root, database = tree(tmp_path / "data"), tmp_path / "db" if with_database else None
    assert list_files(root, database=database) == sorted(root / name for name in LISTED)


@pytest.mark.parametrize("with_database", [False, True])
def test_subjects_that_are_not_needed_are_not_listed(tmp_path: Path, with_database: bool) -> None:
    root, database = tree(tmp_path / "data"), tmp_path / "db" if with_database else None
    assert list_files(root, ("01",), database) == sorted(
        root / name for name in LISTED if "012" not in name
    )


def test_a_database_answers_instead_of_the_disk_once_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, database = tree(tmp_path / "data"), tmp_path / "db"
    first = list_files(root, database=database)
    (root / "sub-01/dwi/sub-01_dwi.json").write_text("{}")
    assert list_files(root, database=database) == first
    assert len(list_files(root)) == len(first) + 1
    assert [path.name for path in database.iterdir()] == [DATABASE_FILE_NAME]


def test_a_database_that_another_app_made_of_everything_gives_the_same(tmp_path: Path) -> None:
    root, database = tree(tmp_path / "data"), tmp_path / "db"
    BIDSLayout(root, validate=False, database_path=database)
    assert list_files(root, database=database) == list_files(root)


def test_a_database_of_another_dataset_is_a_usage_error(tmp_path: Path) -> None:
    database = tmp_path / "db"
    list_files(tree(tmp_path / "data"), database=database)
    with pytest.raises(UsageError, match=str(tmp_path / "data")):
        list_files(tree(tmp_path / "other"), database=database)


def test_entities_are_those_that_pybids_finds(tmp_path: Path) -> None:
    name = (
        "sub-01_ses-002_acq-b1_rec-x_dir-AP_run-007_part-mag_chunk-01_space-ACPC_res-2_den-3"
        "_label-GM_desc-preproc_dwi.nii.gz"
    )
    root = write_tree(tmp_path, {f"sub-01/ses-002/dwi/{name}": IMAGE})
    (file,) = BidsDataset.from_folder(root).files
    layout = BIDSLayout(root, validate=False, config=["bids", "derivatives"])
    known = layout.get(suffix="dwi")[0].get_entities()
    assert len(file.entities) == name.count("_")
    assert dict(file.entities) == {entity: str(known[entity]) for entity in file.entities}
    assert set(known) - set(file.entities) == {"datatype", "suffix", "extension"}
