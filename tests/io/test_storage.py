from __future__ import annotations

import csv
import hashlib
import json
import os
from pathlib import Path
from types import MappingProxyType
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_shresnet.io.storage import (
    atomic_path,
    hash_file,
    hash_record,
    read_json,
    write_bytes,
    write_json,
    write_text,
    write_tsv,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


class PowerCut(BaseException):
    """Not an Exception, as KeyboardInterrupt."""


def file_names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_body_that_fails_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half of the n")
            raise PowerCut

    with pytest.raises(PowerCut):
        fail()
    assert path.read_text() == "old"
    assert file_names(tmp_path) == {"a.json"}


def test_a_file_has_its_name_only_once_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "sub-01_dwi.nii.gz"
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        # A rename to another file system would be a copy, which can be interrupted.
        assert temporary.parent == path.parent
        assert temporary.name.startswith(".")
        assert temporary.name.endswith(".nii.gz")
    assert file_names(path.parent) == {path.name}


def test_content_is_flushed_to_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Mock()
    monkeypatch.setattr(os, "fsync", calls.fsync)
    monkeypatch.setattr(Path, "replace", calls.replace)
    write_text(tmp_path / "a", "new")
    assert [name for name, *_ in calls.mock_calls] == ["fsync", "replace"]


def test_rewriting_replaces_an_annexed_link_and_leaves_its_content(tmp_path: Path) -> None:
    content = tmp_path / "annexed"
    content.write_text("annexed")
    link = tmp_path / "a.json"
    link.symlink_to(content)
    write_text(link, "new")
    assert content.read_text() == "annexed"
    assert link.read_text() == "new"
    assert not link.is_symlink()


def test_files_get_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_bytes(tmp_path / "a", b"")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.slow
@given(record=st.dictionaries(st.text(), JSON))
def test_json_comes_back_in_its_order(
    record: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "a.json"
    write_json(path, record)
    assert read_json(path) == record
    assert list(read_json(path)) == list(record)


def test_json_knows_numpy_paths_and_frozen_mappings(tmp_path: Path) -> None:
    record = {
        "n": np.int64(3),
        "x": np.float32(0.5),
        "yes": np.True_,
        "a": np.eye(2),
        "p": Path("x/ä"),
        "t": (1, 2),
    }
    write_json(tmp_path / "a.json", {"inner": MappingProxyType(record)})
    plain = {"n": 3, "x": 0.5, "yes": True, "a": [[1, 0], [0, 1]], "p": "x/ä", "t": [1, 2]}
    text = (tmp_path / "a.json").read_bytes().decode("utf-8")
    assert json.loads(text) == {"inner": plain}
    assert "x/ä" in text
    assert text.endswith("}\n")


@pytest.mark.parametrize(
    "number", [float("nan"), float("inf"), np.float32("nan"), np.array([np.nan])]
)
def test_json_refuses_undefined_numbers_and_names_the_file(number: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.json"):
        write_json(tmp_path / "a.json", {"x": number})
    assert file_names(tmp_path) == set()


def test_tables_have_one_line_per_row_and_no_empty_cell(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"file": "a", "reason": "two\tcells\nand lines"},
        {"file": "b", "nmse": np.float32(0.5)},
        {"nmse": np.nan},
    ]
    write_tsv(tmp_path / "a.tsv", rows, columns=["file", "nmse"])
    with (tmp_path / "a.tsv").open(encoding="utf-8", newline="") as file:
        table = list(csv.reader(file, delimiter="\t"))
    assert table == [
        ["file", "nmse", "reason"],
        ["a", "n/a", "two cells and lines"],
        ["b", "0.5", "n/a"],
        ["n/a", "n/a", "n/a"],
    ]


def test_a_table_without_rows_has_its_header(tmp_path: Path) -> None:
    write_tsv(tmp_path / "a.tsv", [], columns=["file", "status"])
    assert (tmp_path / "a.tsv").read_text() == "file\tstatus\n"


@given(content=st.binary())
def test_sha256_is_that_of_the_bytes(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "a.bin"
    write_bytes(path, content)
    assert hash_file(path) == hashlib.sha256(content).hexdigest()


@pytest.mark.slow
@given(record=st.dictionaries(st.text(), JSON, min_size=1), data=st.data())
def test_a_digest_depends_on_the_values_and_not_on_their_order(
    record: dict[str, object], data: st.DataObject
) -> None:
    shuffled = dict(data.draw(st.permutations(list(record.items()))))
    assert hash_record(shuffled) == hash_record(record)
    key = data.draw(st.sampled_from(list(record)))
    assert hash_record({**record, key: [record[key]]}) != hash_record(record)
