"""What sidecars say, as text to compare and to show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def format_sidecar_value(value: Any) -> str:
    """A value of a sidecar as text; empty where there is none."""
    if isinstance(value, list):
        return ", ".join(map(format_sidecar_value, value))
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value).strip()


def count_values(sidecars: Iterable[Mapping[str, Any]], key: str) -> dict[str, int]:
    """What some sidecars say under a key, and how many say it; spellings that differ in case are one."""
    counts: dict[str, tuple[str, int]] = {}
    for sidecar in sidecars:
        text = format_sidecar_value(sidecar.get(key))
        spelling, count = counts.get(text.casefold(), (text, 0))
        counts[text.casefold()] = (spelling, count + 1)
    return dict(sorted(pair for pair in counts.values() if pair[0]))
