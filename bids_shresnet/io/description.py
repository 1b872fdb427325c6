"""The pipelines that made a dataset, from its dataset_description.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bids_shresnet.io.file_errors import raise_bad_input
from bids_shresnet.io.storage import read_json

DESCRIPTION_FILE_NAME = "dataset_description.json"
DESCRIPTION_REMEDY = "Correct it, as BIDS describes it under `dataset_description.json`."


def read_pipelines(dataset: Path) -> list[dict[str, Any]]:
    """Read the pipelines that made a dataset, newest first; empty if none is named.

    Raises
    ------
    BadInput
        If the description is damaged.
    """
    path = dataset / DESCRIPTION_FILE_NAME
    if not path.exists():
        return []
    description = read_description(dataset)
    older = description.get("PipelineDescription")  # before BIDS 1.4; QSIPrep wrote it until 2020
    pipelines = description.get("GeneratedBy", [older] if older else [])
    if not isinstance(pipelines, list) or not all(isinstance(item, dict) for item in pipelines):
        raise_bad_input(path, "GeneratedBy is no list of objects", DESCRIPTION_REMEDY)
    return pipelines


def read_description(dataset: Path) -> dict[str, Any]:
    """Read dataset_description.json.

    Raises
    ------
    BadInput
        If it is damaged.
    """
    path = dataset / DESCRIPTION_FILE_NAME
    description = read_json(path)
    if not isinstance(description, dict):
        raise_bad_input(path, "not a JSON object", DESCRIPTION_REMEDY)
    return description


def read_pipeline_name(dataset: Path) -> str:
    """Read the name of the newest pipeline, in lower case; empty for raw data."""
    pipelines = read_pipelines(dataset)
    return str(pipelines[0].get("Name", "")).lower() if pipelines else ""
