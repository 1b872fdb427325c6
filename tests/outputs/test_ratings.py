from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.io.storage import read_json, read_tsv, write_json
from bids_shresnet.outputs.ratings import write_group_ratings

RATING: dict[str, Any] = {
    "subject": "01",
    "rating": "fail",
    "artefacts": ["motion", "noise"],
    "comment": "two\tlines\nof text",
    "rater": "",
    "time": "2026-01-01T00:00:00Z",
}


def test_ratings_of_all_raters_are_one_table(tmp_path: Path) -> None:
    write_json(tmp_path / "ratings/sub-01_rating.json", RATING)
    write_json(tmp_path / "ratings/sub-01_rating(1).json", {**RATING, "rating": "pass"})
    assert len(write_group_ratings(tmp_path)) == 2
    rows = read_tsv(tmp_path / "group_ratings.tsv")
    assert [row["rating"] for row in rows] == ["pass", "fail"]
    assert rows[1]["participant_id"] == "sub-01"
    assert rows[1]["artefacts"] == "motion, noise"
    assert rows[1]["comment"] == "two lines of text"
    assert rows[1]["rater"] == "n/a"
    assert list(read_json(tmp_path / "group_ratings.json")) == list(rows[0])


@pytest.mark.parametrize("record", [{}, [], {"rating": "excellent"}, {"rating": None}])
def test_other_files_are_named_and_left_out(
    record: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_json(tmp_path / "ratings/other.json", record)
    with caplog.at_level(logging.WARNING):
        assert write_group_ratings(tmp_path) == []
    assert "other.json is no rating" in caplog.text
    assert not (tmp_path / "group_ratings.tsv").exists()


def test_without_ratings_there_is_no_table(tmp_path: Path) -> None:
    assert write_group_ratings(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
