from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.errors import BadInput, InputMissing
from bids_shresnet.io.description import read_pipelines
from bids_shresnet.io.file_errors import raise_if_unreadable
from bids_shresnet.io.gradients.fsl import read_fsl_table
from bids_shresnet.io.gradients.mrtrix import read_b_table
from bids_shresnet.io.images.nifti import open_image, read_volume
from bids_shresnet.io.images.nifti_header import read_grid, read_header_orientation
from bids_shresnet.io.storage import hash_file, read_json, read_tsv

READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "JSON": ("a.json", read_json),
    "TSV": ("a.tsv", read_tsv),
    "pipelines": ("dataset_description.json", lambda path: read_pipelines(path.parent)),
    "FSL": ("a.bval", lambda path: read_fsl_table(path, path)),
    "MRtrix": ("a.b", read_b_table),
    "image": ("a.nii.gz", read_volume),
    "header": ("a.nii.gz", read_header_orientation),
    "grid": ("a.nii.gz", read_grid),
    "opened": ("a.nii.gz", open_image),
}
DAMAGE = {
    "deep": b"[" * 100_000,
    "UTF-16": "participant_id\n".encode("utf-16"),
    "latin-1": b"J\xe9r\xf4me",
    "huge cell": b"a\tb\n" + b"1" * 200_000 + b"\t2\n",
    "deflated": zlib.compress(bytes(4000)),
    "zlib": b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + b"\xff" * 400,
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("reader", READERS)
def test_damage_is_bad_input_that_names_the_file(reader: str, damage: str, tmp_path: Path) -> None:
    name, read = READERS[reader]
    (tmp_path / name).write_bytes(DAMAGE[damage])
    try:
        read(tmp_path / name)
    except BadInput as error:
        for finding in error.findings:
            assert finding.file == str(tmp_path / name)
            assert finding.remedy


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")],
    ids=["pipe", "folder", "device"],
)
def test_a_reader_begins_only_with_a_regular_file(
    make: Callable[[Path], Any], tmp_path: Path
) -> None:
    """Unlike the readers of the next law, this one does not wait where it begins."""
    make(tmp_path / "file")
    with (
        pytest.raises(BadInput, match="no regular file"),
        raise_if_unreadable(tmp_path / "file"),
    ):
        pytest.fail("the reader begins")


@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_and_a_device_are_never_opened(reader: str, tmp_path: Path) -> None:
    """Opening a pipe waits for somebody to write into it; /dev/zero never ends."""
    name, read = READERS[reader]
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), os.mkdir):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        make(folder / name)
        with pytest.raises((BadInput, InputMissing), match=r"no regular file|is no file"):
            read(folder / name)


def test_a_pipe_has_no_digest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="no regular file"):
        hash_file(tmp_path / "pipe")


@pytest.mark.parametrize("kind", [ValueError, MemoryError, RecursionError, zlib.error, KeyError])
def test_any_exception_of_a_reader_is_bad_input(kind: type[Exception], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("content")
    with pytest.raises(BadInput, match="odd") as caught, raise_if_unreadable(path, "odd"):
        raise kind
    assert isinstance(caught.value.__cause__, kind)


def test_an_error_of_the_disk_is_none_of_the_content(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk"), raise_if_unreadable(tmp_path / "file"):
        raise OSError(errno.EIO, "disk")


@pytest.mark.parametrize("content", ["[]", '"text"', '{"GeneratedBy": "fMRIPrep"}', "null"])
def test_a_description_of_another_form_is_bad_input(content: str, tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text(content)
    with pytest.raises(BadInput, match="dataset_description"):
        read_pipelines(tmp_path)


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "no right"), FileNotFoundError()])
def test_only_checks_that_list_all_findings_make_one_of_an_error_of_the_disk(
    error: OSError, tmp_path: Path
) -> None:
    path = tmp_path / "a.bval"
    path.write_text("0")
    with pytest.raises(type(error)), raise_if_unreadable(path):
        raise error
    with (
        pytest.raises(BadInput) as refusal,
        raise_if_unreadable(path, should_catch_disk_errors=True),
    ):
        raise error
    (finding,) = refusal.value.findings
    assert (finding.severity, finding.file) == ("error", str(path))
    assert finding.value.startswith("cannot be read (")
