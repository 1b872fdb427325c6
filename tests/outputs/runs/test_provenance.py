from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.io.storage import read_json, write_json
from bids_shresnet.outputs.runs.provenance import Provenance, read_provenance, write_provenance
from bids_shresnet.outputs.sidecars import package_versions

RUN_NAME = "20260101-000000_ab-cd"
START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2026, 1, 1, 1, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    links = {"raw": "file:///data", "qsiprep": "../.."}
    write_json(tmp_path / "dataset_description.json", {"DatasetLinks": links})
    write_provenance(tmp_path, RUN_NAME, command="app in out", start_time=START, end_time=END)
    return tmp_path


def read_records(root: Path) -> dict[str, Any]:
    """Content of prov/ by suffix."""
    return {path.stem.rsplit("_", 1)[1]: read_json(path) for path in (root / "prov").iterdir()}


def test_there_is_one_file_for_each_kind_of_record_named_after_the_run(root: Path) -> None:
    names = {path.name for path in (root / "prov").iterdir()}
    kinds = ("act", "env", "io", "soft")
    assert names == {f"prov-shresnet20260101000000abcd_{kind}.json" for kind in kinds}


def test_every_id_that_is_used_is_defined(root: Path) -> None:
    records = read_records(root)
    (activity,) = records["act"]["Activities"]
    used = {*activity["AssociatedWith"], *activity["Used"]}
    defined = set()
    for record in records.values():
        for items in record.values():
            defined |= {item["Id"] for item in items}
    assert used <= defined
    assert {"bids:raw:", "bids:qsiprep:"} <= used


def test_only_the_input_datasets_are_described_not_the_files_of_the_output(root: Path) -> None:
    assert read_records(root)["io"] == {
        "Datasets": [
            {"Id": "bids:raw:", "Label": "raw", "AtLocation": "file:///data"},
            {"Id": "bids:qsiprep:", "Label": "qsiprep", "AtLocation": "../.."},
        ]
    }


def test_command_start_and_versions_are_read_back(root: Path) -> None:
    assert read_provenance(root, RUN_NAME) == Provenance(
        command="app in out",
        start_time="2026-01-01T00:00:00+00:00",
        software=package_versions(),
        end_time=END.isoformat(timespec="seconds"),
    )


def test_a_run_that_did_not_finish_has_no_provenance(root: Path) -> None:
    assert read_provenance(root, "another") == Provenance("n/a", "n/a", {})
