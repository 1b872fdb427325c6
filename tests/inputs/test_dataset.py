from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from bids.layout import BIDSLayout

from bids_shresnet.errors import BadInput, InputMissing, UsageError
from bids_shresnet.inputs.dataset import (
    DATABASE_FILE_NAME,
    BidsDataset,
    list_files,
    parse_file_name,
)
from tests.datasets import GE, Series, write_tree

IMAGE = np.zeros((2, 2, 2), np.int16)
STEM = "sub-01/dwi/sub-01_acq-x_dwi"
LISTED = [
    "dwi.json",
    *(f"{STEM}{extension}" for extension in (".nii.gz", ".bval", ".bvec", ".json")),
    "sub-01/dwi/sub-01_ADC.nii.gz",
    "sub-012/ses-a/anat/sub-012_ses-a_dseg.nii.gz",
    "sub-012/ses-a/sub-012_ses-a_dwi.json",
]
NOT_LISTED = [
    "sub-01/anat/sub-01_T1w.nii.gz",
    "code/dwi.json",
    "sub-01/func/sub-01_dwi.json",
    "derivatives/a/sub-01_dwi.json",
]


def write_dataset(root: Path) -> Path:
    names = [*LISTED, *NOT_LISTED]
    tree: dict[str, object] = {name: IMAGE for name in names if name.endswith(".nii.gz")}
    tree |= {name: {} for name in names if name.endswith(".json")}
    write_tree(root, tree)
    return write_tree(root, {STEM: Series(sidecar=GE)})


@pytest.mark.parametrize("has_database", [False, True])
def test_files_that_may_belong_to_a_dwi_are_listed_and_no_others(
    tmp_path: Path, has_database: bool
) -> None:
    root = write_dataset(tmp_path / "data")
    database = tmp_path / "db" if has_database else None
    assert list_files(root, database=database) == sorted(root / name for name in LISTED)


@pytest.mark.parametrize("has_database", [False, True])
def test_subjects_that_are_not_needed_are_not_listed(tmp_path: Path, has_database: bool) -> None:
    root = write_dataset(tmp_path / "data")
    database = tmp_path / "db" if has_database else None
    expected = sorted(root / name for name in LISTED if "012" not in name)
    assert list_files(root, ("01",), database) == expected


def test_a_database_is_read_instead_of_the_disk_once_it_is_made(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "data")
    database = tmp_path / "db"
    files = list_files(root, database=database)
    (root / "sub-01/dwi/sub-01_dwi.json").write_text("{}")
    assert list_files(root, database=database) == files
    assert len(list_files(root)) == len(files) + 1
    assert [path.name for path in database.iterdir()] == [DATABASE_FILE_NAME]


def test_a_database_that_another_app_made_of_all_files_gives_the_same(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "data")
    BIDSLayout(root, validate=False, database_path=tmp_path / "db")
    assert list_files(root, database=tmp_path / "db") == list_files(root)


@pytest.mark.slow
def test_a_database_of_another_dataset_is_a_usage_error(tmp_path: Path) -> None:
    list_files(write_dataset(tmp_path / "data"), database=tmp_path / "db")
    with pytest.raises(UsageError, match=str(tmp_path / "data")):
        list_files(write_dataset(tmp_path / "other"), database=tmp_path / "db")


def test_entities_are_those_of_pybids(tmp_path: Path) -> None:
    name = (
        "sub-01_ses-002_acq-b1_rec-x_dir-AP_run-007_part-mag_chunk-01_space-ACPC_res-2_den-3"
        "_label-GM_desc-preproc_dwi.nii.gz"
    )
    root = write_tree(tmp_path, {f"sub-01/ses-002/dwi/{name}": IMAGE})
    (file,) = BidsDataset.from_folder(root).files
    layout = BIDSLayout(root, validate=False, config=["bids", "derivatives"])
    entities = layout.get(suffix="dwi")[0].get_entities()
    assert len(file.entities) == name.count("_")
    assert dict(file.entities) == {key: str(entities[key]) for key in file.entities}
    assert set(entities) - set(file.entities) == {"datatype", "suffix", "extension"}


def test_entities_are_those_of_the_file_name_and_not_of_folders_above(tmp_path: Path) -> None:
    root = tmp_path / "sub-elsewhere" / "ses-x" / "desc-y"
    write_tree(root, {"sub-01/dwi/sub-01_dir-AP_run-007_dwi.nii.gz": IMAGE})
    (file,) = BidsDataset.from_folder(root).files
    assert file.entities == {"subject": "01", "direction": "AP", "run": "007"}


def test_files_apply_if_the_image_has_their_entities_and_the_closest_is_last(
    tmp_path: Path,
) -> None:
    """Of files in one folder the one with more entities is closer (BIDS, inheritance)."""
    applicable = [
        "dwi.json",
        "acq-x_dwi.json",
        "sub-01/sub-01_dwi.json",
        "sub-01/ses-a/sub-01_ses-a_dwi.json",
        "sub-01/ses-a/dwi/sub-01_ses-a_dwi.json",
        "sub-01/ses-a/dwi/sub-01_ses-a_acq-x_dwi.json",
    ]
    others = [
        "acq-y_dwi.json",
        "acq-x_dir-AP_dwi.json",
        "acq-x_dseg.json",
        "sub-01/sub-01_acq-y_dwi.json",
        "sub-01/ses-b/sub-01_ses-b_dwi.json",
        "sub-01/ses-a/dwi/sub-01_ses-a_acq-x_run-2_dwi.json",
        "sub-02/sub-02_dwi.json",
    ]
    image = applicable[-1].replace(".json", ".nii.gz")
    tree: dict[str, object] = {name: {} for name in (*others, *applicable)}
    dataset = BidsDataset.from_folder(write_tree(tmp_path, tree | {image: IMAGE}))
    paths = dataset.applicable_files(parse_file_name(tmp_path / image), ".json")
    assert paths == [tmp_path / name for name in applicable]


def test_a_folder_that_is_no_dataset_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "ds001").mkdir()
    with pytest.raises(InputMissing, match=r"dataset_description\.json it has only ds001"):
        BidsDataset.from_folder(tmp_path)
    with pytest.raises(InputMissing, match=str(tmp_path)):
        BidsDataset.from_folder(tmp_path / "no" / "where")


def test_a_folder_that_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_dataset(tmp_path / "data")
    folder = root / "sub-012" / "ses-a"
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != folder)  # root may read all
    with pytest.raises(InputMissing, match=f"cannot be read: {folder}"):
        BidsDataset.from_folder(root)


@pytest.mark.parametrize(
    "description",
    [
        "true",
        "[]",
        '{"DatasetType": "derivative", "GeneratedBy": [1]}',
        '{"DatasetType": "derivative", "PipelineDescription": ["x"]}',
        '{"DatasetType": "derivative", "GeneratedBy": null}',
    ],
)
def test_a_damaged_description_is_bad_input_that_names_the_file(
    tmp_path: Path, description: str
) -> None:
    root = write_dataset(tmp_path / "data")
    (root / "dataset_description.json").write_text(description, encoding="utf-8")
    with pytest.raises(BadInput, match=r"dataset_description\.json"):
        BidsDataset.from_folder(root)


def test_a_damaged_database_is_bad_input_that_names_the_file(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "data")
    database = tmp_path / "db" / DATABASE_FILE_NAME
    database.parent.mkdir()
    database.write_bytes(b"SQLite format 3\0" + bytes(100))
    with pytest.raises(BadInput, match=DATABASE_FILE_NAME):
        BidsDataset.from_folder(root, database=database.parent)
