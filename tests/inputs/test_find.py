from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bids.layout import BIDSLayout, BIDSLayoutIndexer

from bids_shresnet.errors import BadInput
from bids_shresnet.inputs.dwi_file import read_raw_gradients
from bids_shresnet.inputs.find import find_dwi
from bids_shresnet.io.images.nifti_header import read_grid
from tests.datasets import GE, Series, write_tree

DWI = "sub-01/dwi/sub-01_dwi"


def test_only_dwi_and_their_maps_are_found(tmp_path: Path) -> None:
    image = np.zeros((2, 2, 2), np.int16)
    names = [
        "dwi/sub-01_ADC",
        "dwi/sub-01_sbref",
        "anat/sub-01_T1w",
        "func/sub-01_task-dwi_bold",
        "fmap/sub-01_epi",
    ]
    tree = {f"sub-01/{name}.nii.gz": image for name in names} | {DWI: Series()}
    tree |= {f"{folder}/{DWI}": Series() for folder in ("derivatives/x", "sourcedata", "code")}
    files = find_dwi(write_tree(tmp_path, tree), {})
    assert [file.image.name for file in files] == ["sub-01_ADC.nii.gz", "sub-01_dwi.nii.gz"]


@pytest.mark.parametrize(
    "folder", ["", "sub-01/sub-01_", "sub-01/ses-a/sub-01_ses-a_", "sub-01/ses-a/dwi/sub-01_ses-a_"]
)
def test_gradient_tables_are_inherited_from_every_level(tmp_path: Path, folder: str) -> None:
    series = Series(has_tables=False)
    tables = series.gradient_tables()
    tree: dict[str, object] = {"sub-01/ses-a/dwi/sub-01_ses-a_acq-b1_dwi": series}
    tree |= {f"{folder}dwi{extension}": text for extension, text in tables.items()}
    (file,) = find_dwi(write_tree(tmp_path, tree), {})
    bvals, bvecs = read_raw_gradients(file)
    np.testing.assert_array_equal(bvals, series.bvals)
    np.testing.assert_allclose(bvecs, series.bvecs, atol=1e-6)


def test_closer_sidecars_win_key_by_key(tmp_path: Path) -> None:
    tree = {
        "dwi.json": {"EchoTime": 1, "Manufacturer": "root"},
        "acq-x_dwi.json": {"EchoTime": 9},
        "sub-01/sub-01_dwi.json": {"EchoTime": 2},
        "sub-02/sub-02_dwi.json": {"EchoTime": 3},
        DWI: Series(sidecar={"FlipAngle": 90}),
    }
    (file,) = find_dwi(write_tree(tmp_path, tree), {})
    assert file.metadata == {"EchoTime": 2, "Manufacturer": "root", "FlipAngle": 90}


def test_links_to_content_that_was_not_fetched_are_found_and_named_when_opened(
    tmp_path: Path,
) -> None:
    tree = {f"{DWI}.nii.gz": None, f"{DWI}.json": None, "dwi.json": {"EchoTime": 1}}
    (file,) = find_dwi(write_tree(tmp_path, tree), {})
    assert file.metadata == {"EchoTime": 1}
    (finding,) = file.findings
    assert (finding.severity, Path(finding.file).name) == ("warning", "sub-01_dwi.json")
    with pytest.raises(BadInput, match="datalad get"):
        read_grid(file.image)


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_a_sidecar_that_is_no_json_object_is_an_error(tmp_path: Path, text: str) -> None:
    (file,) = find_dwi(write_tree(tmp_path, {DWI: Series(), "dwi.json": text}), {})
    (finding,) = file.findings
    assert (finding.severity, Path(finding.file).name) == ("error", "dwi.json")


@pytest.mark.parametrize(
    ("sidecar", "error"), [(None, FileNotFoundError), ("{", OSError)], ids=["dangling", "broken"]
)
def test_an_unreadable_sidecar_ends_pybids_and_is_only_a_finding_here(
    tmp_path: Path, sidecar: str | None, error: type[Exception]
) -> None:
    tree = {
        DWI: Series(),
        f"{DWI}.json": sidecar,
        "sub-02/dwi/sub-02_dwi": Series(sidecar={"EchoTime": 1}),
    }
    root = write_tree(tmp_path, tree)
    with pytest.raises(error):
        BIDSLayout(root, validate=False, indexer=BIDSLayoutIndexer(index_metadata=True))
    first, second = find_dwi(root, {})
    assert [Path(finding.file).name for finding in first.findings] == ["sub-01_dwi.json"]
    assert second.metadata == {"EchoTime": 1}


def test_a_linked_file_has_the_name_of_its_link(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "data", {DWI: Series(sidecar={"EchoTime": 1})})
    annex = tmp_path / "annex"
    annex.mkdir()
    for number, path in enumerate(sorted((root / DWI).parent.iterdir())):
        content = annex / f"MD5E-s1--{number}{''.join(path.suffixes)}"
        path.rename(content)
        path.symlink_to(content)
    (file,) = find_dwi(root, {})
    assert (file.image, file.bval) == (root / f"{DWI}.nii.gz", root / f"{DWI}.bval")
    assert file.metadata == {"EchoTime": 1}


def test_the_dataset_is_not_written_to(tmp_path: Path) -> None:
    write_tree(tmp_path, {DWI: Series(sidecar=GE)})
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    find_dwi(tmp_path, {})
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times
