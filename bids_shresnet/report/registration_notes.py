"""How well the scans of travelling subjects correspond, and who was excluded, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from bids_shresnet.io.storage import NOT_AVAILABLE, read_tsv
from bids_shresnet.outputs.model.folder import REGISTRATION_TSV

QUANTITIES: Mapping[str, str] = {
    "overlap": "share of the target's tissue in the source's brain",
    "signal_correlation": "correlation of the signals",
    "orientation_correlation": "correlation of their directions",
}


def registration_notes(folder: Path) -> list[str]:
    """Describe the registrations of a model's subjects; nothing if they are not known."""
    table = folder / REGISTRATION_TSV
    rows = read_tsv(table) if table.exists() else []
    trained = [row for row in rows if row["excluded"] == NOT_AVAILABLE]
    ranges = [f"{title} {_range(trained, name)}" for name, title in QUANTITIES.items() if trained]
    notes = [f"After registration (median, range): {'; '.join(ranges)}."] if ranges else []
    excluded = [row for row in rows if row not in trained]
    return notes + [
        f"sub-{row['subject']} was not trained on: {row['excluded'].removesuffix('.')}."
        for row in excluded
    ]


def _range(rows: Sequence[Mapping[str, str]], name: str) -> str:
    values = [float(row[name]) for row in rows]
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
