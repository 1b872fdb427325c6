"""What dataset_description.json says of who made a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bids_shresnet.io.storage import read_json

DESCRIPTION_FILE_NAME = "dataset_description.json"


def read_pipelines(dataset: Path) -> list[dict[str, Any]]:
    """Read the pipelines that made a dataset, newest first, as far as it names any."""
    if not (dataset / DESCRIPTION_FILE_NAME).exists():
        return []
    description = read_json(dataset / DESCRIPTION_FILE_NAME)
    older = description.get("PipelineDescription")  # before BIDS 1.4; QSIPrep wrote it until 2020
    return list(description.get("GeneratedBy", [older] if older else []))


def read_pipeline_name(dataset: Path) -> str:
    """Name of the pipeline that made a dataset, in small letters; empty for raw data."""
    pipelines = read_pipelines(dataset)
    return str(pipelines[0].get("Name", "")).lower() if pipelines else ""
