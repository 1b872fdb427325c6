from __future__ import annotations

from pathlib import Path

import pytest
from bids.layout import BIDSLayout, BIDSLayoutIndexer

from bids_shresnet.errors import BadInput
from bids_shresnet.inputs.find import find_dwi
from bids_shresnet.io.nifti_header import read_grid
from tests.datasets import Series, write_tree


def test_closer_sidecars_win_key_by_key(tmp_path: Path) -> None:
    tree = {
        "dwi.json": {"EchoTime": 1, "Manufacturer": "root"},
        "acq-x_dwi.json": {"EchoTime": 9},
        "sub-01/sub-01_dwi.json": {"EchoTime": 2},
        "sub-02/sub-02_dwi.json": {"EchoTime": 3},
        "sub-01/dwi/sub-01_dwi": Series(sidecar={"FlipAngle": 90}),
    }
    (file,) = find_dwi(write_tree(tmp_path, tree), {})
    assert file.metadata == {"EchoTime": 2, "Manufacturer": "root", "FlipAngle": 90}


def test_links_to_annexed_content_are_found_and_named_when_opened(tmp_path: Path) -> None:
    tree = {
        "sub-01/dwi/sub-01_dwi.nii.gz": None,
        "sub-01/dwi/sub-01_dwi.json": None,
        "dwi.json": {"EchoTime": 1},
    }
    (file,) = find_dwi(write_tree(tmp_path, tree), {})
    assert file.metadata == {"EchoTime": 1}
    assert [(f.severity, Path(f.file).name) for f in file.findings] == [
        ("warning", "sub-01_dwi.json")
    ]
    with pytest.raises(BadInput, match="datalad get"):
        read_grid(file.image)


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_a_sidecar_that_is_no_json_object_is_an_error(tmp_path: Path, text: str) -> None:
    (file,) = find_dwi(
        write_tree(tmp_path, {"sub-01/dwi/sub-01_dwi": Series(), "dwi.json": text}), {}
    )
    assert [(f.severity, Path(f.file).name) for f in file.findings] == [("error", "dwi.json")]


@pytest.mark.parametrize(
    ("sidecar", "error"), [(None, FileNotFoundError), ("{", OSError)], ids=["dangling", "broken"]
)
def test_an_unreadable_sidecar_ends_pybids_and_is_a_finding_of_ours(
    tmp_path: Path, sidecar: str | None, error: type[Exception]
) -> None:
    tree = {
        "sub-01/dwi/sub-01_dwi": Series(),
        "sub-01/dwi/sub-01_dwi.json": sidecar,
        "sub-02/dwi/sub-02_dwi": Series(sidecar={"EchoTime": 1}),
    }
    root = write_tree(tmp_path, tree)
    with pytest.raises(error):
        BIDSLayout(root, validate=False, indexer=BIDSLayoutIndexer(index_metadata=True))
    first, second = find_dwi(root, {})
    assert [Path(finding.file).name for finding in first.findings] == ["sub-01_dwi.json"]
    assert second.metadata == {"EchoTime": 1}


def test_a_linked_file_has_the_name_and_place_of_its_link(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "data", {"sub-01/dwi/sub-01_dwi": Series(sidecar={"EchoTime": 1})})
    annex = tmp_path / "annex"
    annex.mkdir()
    for path in list((root / "sub-01" / "dwi").iterdir()):
        target = annex / f"MD5E-s1--{len(list(annex.iterdir()))}{''.join(path.suffixes)}"
        path.rename(target)
        path.symlink_to(target)
    (file,) = find_dwi(root, {})
    assert file.image == root / "sub-01" / "dwi" / "sub-01_dwi.nii.gz"
    assert file.bval == root / "sub-01" / "dwi" / "sub-01_dwi.bval"
    assert file.metadata == {"EchoTime": 1}
