"""The JSON schema of model.json (Draft 2020-12), which docs/reference publishes."""

from __future__ import annotations

import json
import math
from functools import cache
from importlib import resources
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.io.file_errors import MODEL_REMEDY

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

MAX_VALUE_LENGTH = 200  # characters of a finding


def read_schema() -> dict[str, Any]:
    """Read the schema that is shipped with the package."""
    file = resources.files("bids_shresnet") / "outputs/model.schema.json"
    return dict(json.loads(file.read_text(encoding="utf-8")))


def check_card(record: Any, path: Path) -> None:
    """Check the content of a model.json against the schema.

    Raises
    ------
    BadInput
        If it violates the schema: one finding for each violation, with its JSON path.
    """
    errors = sorted(_validator().iter_errors(record), key=lambda error: error.json_path)
    findings = [_make_finding(path, error.json_path, error.message) for error in errors]
    if findings:
        raise BadInput(findings)


def _make_finding(path: Path, json_path: str, message: str) -> Finding:
    value = shorten(f"{json_path}: {message}", MAX_VALUE_LENGTH)
    return Finding(severity="error", file=str(path), value=value, remedy=MODEL_REMEDY)


@cache
def _validator() -> Validator:
    """Make the validator once; it also refuses NaN and infinity, which Python's JSON accepts."""
    from jsonschema import Draft202012Validator, validators  # most commands need no model

    types = Draft202012Validator.TYPE_CHECKER.redefine("number", _is_finite_number)
    kind = validators.extend(Draft202012Validator, type_checker=types)
    return kind(read_schema())


def _is_finite_number(_: object, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value)
