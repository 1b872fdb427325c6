"""JSON sidecars: merged by inheritance, and their values as text to compare and to show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bids_shresnet.errors import Finding
from bids_shresnet.io.file_errors import unreadable_finding
from bids_shresnet.io.storage import read_json


def merge_sidecars(paths: Iterable[Path]) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """Merge the fields of sidecars, the later ones first, and collect what cannot be read.

    A link to content that was not fetched is a warning, broken content an error.
    """
    fields: dict[str, Any] = {}
    findings = []
    for path in paths:
        try:
            fields |= dict(read_json(path))
        except FileNotFoundError:
            findings.append(replace(unreadable_finding(path, ""), severity="warning"))
        except (OSError, ValueError, TypeError) as error:
            value = f"not a JSON object ({error})"
            remedy = "Correct or remove the sidecar."
            findings.append(Finding.error(path, value, remedy))
    return fields, tuple(findings)


def format_sidecar_value(value: Any) -> str:
    """Write a value as text; empty where there is none."""
    if isinstance(value, list):
        return ", ".join(map(format_sidecar_value, value))
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value).strip()


def count_values(sidecars: Iterable[Mapping[str, Any]], key: str) -> dict[str, int]:
    """Count the values of a key, sorted; spellings that differ in case are one, empty ones none."""
    counts: dict[str, tuple[str, int]] = {}
    for sidecar in sidecars:
        text = format_sidecar_value(sidecar.get(key))
        spelling, count = counts.get(text.casefold(), (text, 0))
        counts[text.casefold()] = (spelling, count + 1)
    return dict(sorted(pair for pair in counts.values() if pair[0]))
