"""The configuration as a plain record, and back: what `logs/<run>/config.json` holds can be run again."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from bids_shresnet.config import Config
from bids_shresnet.errors import UsageError

T = TypeVar("T")


def to_record(config: Config) -> dict[str, Any]:
    """Return a configuration as JSON knows it: paths as text, tuples as lists, nested settings as nested records."""
    record: dict[str, Any] = _to_plain_value(config)
    return record


def from_record(record: Mapping[str, Any]) -> Config:
    """Return the configuration that a record describes; settings it does not name keep their defaults.

    Raises
    ------
    UsageError
        If it names settings that do not exist, lacks one that has no default, or a value is of the wrong kind.
    """
    return _build_settings(Config, record, "")


def _to_plain_value(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {
            field.name: _to_plain_value(getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
    if isinstance(value, tuple):
        return [_to_plain_value(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _build_settings(kind: type[T], record: object, prefix: str) -> T:
    """Build a dataclass; `place` is its name in the record, with a dot at its end."""
    if not isinstance(record, Mapping):
        msg = f"setting {prefix.rstrip('.') or 'file'}: expected settings by name, got {record!r}"
        raise UsageError(msg)
    hints = get_type_hints(kind)
    unknown = [f"{prefix}{name}" for name in record if name not in hints]
    if unknown:
        msg = f"unknown settings: {', '.join(unknown)}. They may be of another version of the app; take them out."
        raise UsageError(msg)
    values = {
        name: _convert_value(hints[name], value, f"{prefix}{name}")
        for name, value in record.items()
    }
    try:
        return kind(**values)
    except TypeError as error:
        msg = f"incomplete settings: {error}"
        raise UsageError(msg) from error


def _convert_value(kind: Any, value: Any, setting: str) -> Any:
    """Turn a value of a record into what the field's annotation asks for."""
    options = get_args(kind)
    if get_origin(kind) in (Union, types.UnionType):
        optional = [option for option in options if option is not types.NoneType]
        return None if value is None else _convert_value(optional[0], value, setting)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _build_settings(kind, value, f"{setting}.")
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        return tuple(_convert_value(options[0], item, setting) for item in value)
    return _check_scalar(kind, value, setting)


def _check_scalar(kind: Any, value: Any, setting: str) -> Any:
    """Check a single value; a whole number may stand for a float, but True and False for no number."""
    if get_origin(kind) is Literal:
        fits = value in get_args(kind)
    elif kind is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        fits = type(value) is (str if kind is Path else kind)
    if not fits:
        msg = f"setting {setting}: {value!r} is not of the kind {getattr(kind, '__name__', kind)}"
        raise UsageError(msg)
    return kind(value) if kind in (Path, float) else value
