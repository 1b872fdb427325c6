"""Provenance of runs in `prov/`, as in the draft of BIDS extension proposal 28 (June 2026).

https://github.com/bids-standard/bids-specification/pull/2099. Files of the dataset itself are not
described here: their sidecars hold their checksums.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from bids_shresnet.io.storage import NOT_AVAILABLE, read_json, write_json
from bids_shresnet.outputs.sidecars import package_versions

RecordKind = Literal["act", "soft", "env", "io"]


@dataclass(frozen=True)
class Provenance:
    """Command of a run, its start and end in UTC, and the versions of its software."""

    command: str
    start_time: str
    software: Mapping[str, str]
    end_time: str = NOT_AVAILABLE


def write_provenance(
    root: Path, run_name: str, *, command: str, start_time: datetime, end_time: datetime | None
) -> None:
    """Write the activity of a run, its software, its environment and its input datasets.

    A run that has not ended, or was killed, has no end.
    """
    versions = package_versions()
    prefix = f"bids::prov#{_run_label(run_name)}"
    environment = _environment(prefix, versions)
    software = _software(prefix, versions)
    datasets = _input_datasets(root)
    activity = {
        "Id": f"{prefix}-activity",
        "Label": "Harmonization of diffusion MRI",
        "Command": command,
        "AssociatedWith": [tool["Id"] for tool in software],
        "Used": [item["Id"] for item in (environment, *datasets)],
        "StartedAtTime": start_time.isoformat(timespec="seconds"),
    }
    if end_time is not None:
        activity["EndedAtTime"] = end_time.isoformat(timespec="seconds")
    records: dict[RecordKind, dict[str, Any]] = {
        "act": {"Activities": [activity]},
        "soft": {"Software": software},
        "env": {"Environments": [environment]},
        "io": {"Datasets": datasets},
    }
    for kind, record in records.items():
        write_json(prov_path(root, run_name, kind), record)


def read_provenance(root: Path, run_name: str) -> Provenance:
    """Read the provenance of a run; all is "n/a" if the run was ended before it was written."""
    activity_file = prov_path(root, run_name, "act")
    software_file = prov_path(root, run_name, "soft")
    if not activity_file.exists() or not software_file.exists():
        return Provenance(command=NOT_AVAILABLE, start_time=NOT_AVAILABLE, software={})
    activity = read_json(activity_file)["Activities"][0]
    software = read_json(software_file)["Software"]
    return Provenance(
        command=activity["Command"],
        start_time=activity["StartedAtTime"],
        software={tool["Label"]: tool["Version"] for tool in software},
        end_time=activity.get("EndedAtTime", NOT_AVAILABLE),
    )


def prov_path(root: Path, run_name: str, kind: RecordKind) -> Path:
    """Name one of the four files of a run."""
    return root / "prov" / f"prov-shresnet{_run_label(run_name)}_{kind}.json"


def _software(prefix: str, versions: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"Id": f"{prefix}-{name}", "Label": name, "Version": version}
        for name, version in versions.items()
    ]


def _environment(prefix: str, versions: Mapping[str, str]) -> dict[str, Any]:
    return {
        "Id": f"{prefix}-environment",
        "Label": "environment",
        "OperatingSystem": platform.platform(),
        "Dependencies": versions,
    }


def _input_datasets(root: Path) -> list[dict[str, str]]:
    links = read_json(root / "dataset_description.json")["DatasetLinks"]
    return [
        {"Id": f"bids:{name}:", "Label": name, "AtLocation": link} for name, link in links.items()
    ]


def _run_label(run_name: str) -> str:
    """Spell the name of a run as a BIDS label: letters and digits only."""
    return "".join(character for character in run_name if character.isalnum())
