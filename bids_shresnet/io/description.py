"""The pipelines that made a dataset, from its dataset_description.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bids_shresnet.io.storage import read_json

DESCRIPTION_FILE_NAME = "dataset_description.json"


def read_pipelines(dataset: Path) -> list[dict[str, Any]]:
    """Read the pipelines that made a dataset, newest first; empty if none is named."""
    path = dataset / DESCRIPTION_FILE_NAME
    if not path.exists():
        return []
    description = read_json(path)
    older = description.get("PipelineDescription")  # before BIDS 1.4; QSIPrep wrote it until 2020
    return list(description.get("GeneratedBy", [older] if older else []))


def read_pipeline_name(dataset: Path) -> str:
    """Read the name of the newest pipeline, in lower case; empty for raw data."""
    pipelines = read_pipelines(dataset)
    return str(pipelines[0].get("Name", "")).lower() if pipelines else ""
