from __future__ import annotations

import json
from pathlib import Path

import pytest

from bids_shresnet.inputs.sidecars import merge_sidecars
from bids_shresnet.io.storage import write_json


def test_later_sidecars_override_earlier_ones(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"EchoTime": 0.1, "FlipAngle": 90}')
    (tmp_path / "b.json").write_text('{"EchoTime": 0.2}')
    merged = merge_sidecars([tmp_path / "a.json", tmp_path / "b.json"])
    assert merged == ({"EchoTime": 0.2, "FlipAngle": 90}, ())


@pytest.mark.parametrize(
    "value", ["NaN", "-Infinity", "1e999", '"\\ud800"', "[1, [NaN]]", '{"a": Infinity}']
)
def test_a_value_that_no_output_could_hold_is_left_out_and_warned_about(
    value: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    path.write_text(f'{{"EchoTime": {value}, "FlipAngle": 90}}')
    fields, (finding,) = merge_sidecars([path])
    assert fields == {"FlipAngle": 90}
    assert finding.severity == "warning"
    assert "EchoTime" in finding.value
    write_json(tmp_path / "out.json", fields)


@pytest.mark.parametrize("content", ["", "[]", "[[1, 2]]", "1", '"text"', "{", "[" * 100_000])
def test_content_that_is_no_object_is_an_error(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    fields, (finding,) = merge_sidecars([tmp_path / "a.json"])
    assert fields == {}
    assert finding.severity == "error"
    assert finding.file == str(tmp_path / "a.json")


def test_a_link_to_content_that_was_not_fetched_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "a.json").symlink_to("nowhere")
    (tmp_path / "b.json").write_text(json.dumps({"FlipAngle": 90}))
    fields, (finding,) = merge_sidecars([tmp_path / "a.json", tmp_path / "b.json"])
    assert fields == {"FlipAngle": 90}
    assert finding.severity == "warning"
