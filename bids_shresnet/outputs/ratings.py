"""Ratings of subjects, which raters export from the pages into the folder `ratings`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bids_shresnet.errors import BadInput
from bids_shresnet.io.storage import read_json, write_json, write_tsv

logger = logging.getLogger(__name__)

GROUP_RATINGS = "group_ratings"
RATINGS_FOLDER = "ratings"
RATINGS = ("pass", "unsure", "fail")
RATING_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    # not "subject": pybids takes the keys of a sidecar for entities
    "participant_id": {"Description": "The subject, `sub-` and its label."},
    "rating": {"Description": "Result.", "Levels": {name: name for name in RATINGS}},
    "artefacts": {"Description": "What the rater saw, separated by commas."},
    "comment": {"Description": "Remark of the rater."},
    "rater": {"Description": "Who rated."},
    "time": {"Description": "When the rating was exported, UTC."},
    "file": {"Description": "File in the folder `ratings`."},
}


def write_group_ratings(root: Path) -> list[dict[str, str]]:
    """Collect all ratings in one table, sorted by file; none is written without ratings."""
    rows = []
    for path in sorted((root / RATINGS_FOLDER).glob("*.json")):
        row = _read_rating(path)
        if row is None:
            logger.warning("%s is no rating that a page has exported", path)
        else:
            rows.append(row)
    if rows:
        write_tsv(root / f"{GROUP_RATINGS}.tsv", rows, list(RATING_COLUMNS))
        write_json(root / f"{GROUP_RATINGS}.json", RATING_COLUMNS)
    return rows


def _read_rating(path: Path) -> dict[str, str] | None:
    """Read the row of a rating; None if the file is something else."""
    try:
        record = read_json(path)
    except BadInput:
        return None
    if not isinstance(record, dict) or record.get("rating") not in RATINGS:
        return None
    artefacts = record.get("artefacts")
    names = artefacts if isinstance(artefacts, list) else []
    return {
        "participant_id": f"sub-{record.get('subject', '')}",
        "rating": record["rating"],
        "artefacts": ", ".join(map(str, names)),
        **{key: str(record.get(key) or "") for key in ("comment", "rater", "time")},
        "file": path.name,
    }
