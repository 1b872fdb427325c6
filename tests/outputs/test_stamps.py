from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path

import pytest

from bids_shresnet.io.storage import hash_file, write_json
from bids_shresnet.outputs.layout import ScanOutputs
from bids_shresnet.outputs.stamps import (
    OUTPUT_FILES_KEY,
    find_damaged_files,
    hold_scan_lock,
    is_current,
    is_intact,
    read_stamp,
    stamp_files,
)
from tests.factories import make_scan


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "table.tsv").write_text("a\tb\n")
    (tmp_path / "map.nii.gz").write_bytes(b"image")
    write_json(tmp_path / "map.json", {"Checksum": [{"ChecksumValue": hash_image(tmp_path)}]})
    files = [tmp_path / "table.tsv", tmp_path / "map.nii.gz"]
    write_json(tmp_path / "stamp.json", stamp_files(files, tmp_path))
    return tmp_path


def hash_image(root: Path) -> str:
    return hash_file(root / "map.nii.gz")


def test_files_as_they_were_written_are_intact(root: Path) -> None:
    stamp = read_stamp(root / "stamp.json")
    assert stamp[OUTPUT_FILES_KEY]["table.tsv"]["Size"] == 4
    assert is_intact(stamp, root)


@pytest.mark.parametrize(
    ("key", "digest", "content", "expected"),
    [
        ("Harmonization", "abc", "a\tb\n", True),
        ("Harmonization", "xyz", "a\tb\n", False),  # made from other inputs
        ("Target", "abc", "a\tb\n", False),  # made in another role
        ("Harmonization", "abc", "a\tc\n", False),  # changed since
    ],
)
def test_files_are_current_if_they_are_intact_and_were_made_from_the_same_inputs(
    key: str, digest: str, content: str, expected: bool, root: Path
) -> None:
    stamp = {**read_stamp(root / "stamp.json"), "Harmonization": {"InputsDigest": "abc"}}
    write_json(root / "stamp.json", stamp)
    (root / "table.tsv").write_text(content)
    assert is_current(root / "stamp.json", key, digest, root=root) == expected


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("table.tsv", None),
        ("table.tsv", b""),
        ("table.tsv", b"a\tc\n"),  # of the same size
        ("map.nii.gz", b"imagf"),
        ("map.json", None),
        ("map.json", b""),
        ("map.json", b'{"Checksum": []}'),
        ("map.json", b"[[[["),
    ],
)
def test_a_missing_or_changed_file_is_named(
    name: str, content: bytes | None, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if content is None:
        (root / name).unlink()
    else:
        (root / name).write_bytes(content)
    stamp = read_stamp(root / "stamp.json")
    assert find_damaged_files(stamp, root) == [name]
    assert not is_intact(stamp, root)
    assert name in caplog.text


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"\xff", b"[" * 100_000])
def test_a_missing_or_damaged_stamp_stamps_nothing(content: bytes | None, root: Path) -> None:
    (root / "stamp.json").unlink()
    if content is not None:
        (root / "stamp.json").write_bytes(content)
    assert read_stamp(root / "stamp.json") == {}
    assert not is_intact({}, root)


def test_two_jobs_write_the_outputs_of_a_scan_one_after_the_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    outputs = ScanOutputs(make_scan(), tmp_path)
    other_target = ScanOutputs(make_scan(), tmp_path, "harmonizedToB")

    def write_other() -> bool:
        with hold_scan_lock(other_target):
            return True

    with ThreadPoolExecutor() as pool:
        with hold_scan_lock(outputs):
            waiting = pool.submit(write_other)
            with pytest.raises(NotYet):
                waiting.result(timeout=0.3)
        assert waiting.result(timeout=10)
    assert "another job works on sub-01" in caplog.text


def test_jobs_of_two_scans_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with (
        hold_scan_lock(ScanOutputs(make_scan(), tmp_path)),
        hold_scan_lock(ScanOutputs(make_scan(subject="02"), tmp_path)),
    ):
        assert True
