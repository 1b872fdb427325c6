"""When a scan was measured, by its sidecar or the tables of the dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from bids_shresnet.inputs.tables import Row

TIME_COLUMN = "acq_time"  # of scans.tsv and sessions.tsv
TIME_KEY = "AcquisitionDateTime"  # of a sidecar

AcquisitionTimes = Mapping[str, datetime]  # by the name of a row


def read_acquisition_times(rows: Iterable[tuple[str, Row]]) -> AcquisitionTimes:
    """Read the times in the tables; what is no time of ISO 8601 is ignored."""
    times = {name: _parse_time(row.get(TIME_COLUMN)) for name, row in rows}
    return {name: time for name, time in times.items() if time}


def find_acquisition_time(
    file_name: str, metadata: Mapping[str, Any], times: AcquisitionTimes
) -> datetime | None:
    """Find the time of a scan: in its sidecar, else in scans.tsv, else in sessions.tsv."""
    session_name = "_".join(file_name.split("_")[:2])
    return _parse_time(metadata.get(TIME_KEY)) or times.get(file_name) or times.get(session_name)


def _parse_time(text: object) -> datetime | None:
    """Read a time without its zone, which one of two tables may lack; None if it is none."""
    with suppress(ValueError):
        return datetime.fromisoformat(str(text)).replace(tzinfo=None)
    return None
