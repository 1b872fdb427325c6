"""JSON sidecars: merged by inheritance, and their values as text to compare and to show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from textwrap import shorten
from typing import Any

from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.io.file_errors import raise_bad_input, unreadable_finding
from bids_shresnet.io.storage import read_json

SIDECAR_REMEDY = "Correct or remove the sidecar."
MAX_VALUE_LENGTH = 100  # characters of a finding


def merge_sidecars(paths: Iterable[Path]) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """Merge the fields of sidecars, the later ones first, and collect what cannot be read.

    A link to content that was not fetched is a warning, broken content an error. A field whose
    value no sidecar of an output could hold, such as NaN, is skipped with a warning.
    """
    fields: dict[str, Any] = {}
    findings = []
    for path in paths:
        try:
            sidecar = _read_sidecar(path)
        except FileNotFoundError:
            findings.append(replace(unreadable_finding(path, ""), severity="warning"))
            continue
        except BadInput as error:
            findings += error.findings
            continue
        except OSError as error:
            findings.append(Finding.error(path, f"cannot be read ({error})", SIDECAR_REMEDY))
            continue
        invalid = [key for key, value in sidecar.items() if not _is_valid(key, value)]
        findings += [_invalid_field_finding(path, key, sidecar[key]) for key in invalid]
        fields |= {key: value for key, value in sidecar.items() if key not in invalid}
    return fields, tuple(findings)


def _read_sidecar(path: Path) -> dict[str, Any]:
    sidecar = read_json(path)
    if not isinstance(sidecar, dict):
        raise_bad_input(path, "not a JSON object", SIDECAR_REMEDY)
    return sidecar


def _is_valid(key: str, value: Any) -> bool:
    """Return whether a field can be written as JSON: Python also reads NaN and half characters."""
    try:
        json.dumps({key: value}, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:  # also UnicodeEncodeError
        return False
    return True


def _invalid_field_finding(path: Path, key: str, value: Any) -> Finding:
    shown = shorten(ascii({key: value}), MAX_VALUE_LENGTH)
    return Finding.warning(path, f"not valid JSON: {shown}", "The field is not used; correct it.")


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
