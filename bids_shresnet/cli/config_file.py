"""Settings as a plain record, and back: `logs/<run>/config.json`, which can be run again.

The record is as flat as the command line: its keys are the names of the flags. People write the
same as TOML.
"""

from __future__ import annotations

import json
import tomllib
import types
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from bids_shresnet.config import Config
from bids_shresnet.errors import InputMissing, UsageError

POSITIONALS = ("bids_dir", "output_dir", "analysis_level")
Record = Mapping[str, Any]


def is_flat_group(hint: Any) -> bool:
    """Tell whether the flags of a group of settings have no prefix."""
    return get_origin(hint) is Annotated and is_dataclass(get_args(hint)[0])


def flatten_settings(config: Config) -> dict[str, Any]:
    """Settings by the names of their flags; `network` and `training` stay whole."""
    hints = get_type_hints(Config, include_extras=True)
    settings: dict[str, Any] = {}
    for name, value in vars(config).items():
        settings.update(vars(value) if is_flat_group(hints[name]) else {name: value})
    return settings


def to_record(config: Config) -> dict[str, Any]:
    """Settings as JSON knows them: paths as text, tuples as lists, nested settings as objects."""
    return {name: _to_plain_value(value) for name, value in flatten_settings(config).items()}


def _to_plain_value(value: Any) -> Any:
    if is_dataclass(value):
        return {name: _to_plain_value(item) for name, item in vars(value).items()}
    if isinstance(value, tuple):
        return [_to_plain_value(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def from_record(record: Record) -> Config:
    """Read settings from a record; settings that it does not name keep their defaults.

    Raises
    ------
    UsageError
        If it names settings that do not exist, lacks one that has no default, or a value is of
        the wrong type.
    """
    groups: dict[str, Any] = {}
    rest = dict(record)
    for name, hint in get_type_hints(Config, include_extras=True).items():
        if is_flat_group(hint):
            kind = get_args(hint)[0]
            names = [field.name for field in fields(kind) if field.name in rest]
            groups[name] = _build_settings(kind, {key: rest.pop(key) for key in names}, "")
        elif name in rest:
            groups[name] = _build_settings(hint, rest.pop(name), f"{name}.")
    _refuse_unknown_settings(rest)
    return Config(**groups)


def read_config_file(path: Path, flag: str) -> dict[str, Any]:
    """Read the settings of an earlier run (JSON), or those that somebody wrote (TOML).

    Raises
    ------
    InputMissing
        If there is no such file.
    UsageError
        If it is not a file of settings.
    """
    if not path.is_file():
        msg = f"{flag} {path}: no such file"
        raise InputMissing(msg)
    try:  # not by io.storage: it needs numpy, which must not load before threads are limited
        text = path.read_text(encoding="utf-8")
        record = _name_fields(tomllib.loads(text)) if is_toml(path) else json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"{flag} {path}: not a {'TOML' if is_toml(path) else 'JSON'} file ({error})"
        raise UsageError(msg) from error
    _check_mapping(record, "file")
    return dict(record)


def is_toml(path: Path) -> bool:
    """Tell whether a file of settings was written by hand, in TOML."""
    return path.suffix == ".toml"


def _name_fields(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table of TOML with the names of fields: flags have dashes."""
    named = {}
    for name, value in table.items():
        field = name.replace("-", "_")
        named[field] = _name_fields(value) if isinstance(value, Mapping) else value
    return named


def _build_settings(kind: type[Any], record: Any, prefix: str) -> Any:
    """Build a dataclass of settings; `prefix` is its name in the record with a dot at its end."""
    _check_mapping(record, prefix.rstrip("."))
    hints = get_type_hints(kind)
    _refuse_unknown_settings(f"{prefix}{name}" for name in record if name not in hints)
    values = {
        name: _convert_value(hints[name], value, f"{prefix}{name}")
        for name, value in record.items()
    }
    try:
        return kind(**values)
    except TypeError as error:
        msg = f"incomplete settings: {error}"
        raise UsageError(msg) from error


def _check_mapping(record: Any, setting: str) -> None:
    if not isinstance(record, Mapping):
        msg = f"setting {setting}: expected settings by name, got {record!r}"
        raise UsageError(msg)


def _refuse_unknown_settings(names: Iterable[str]) -> None:
    if unknown := ", ".join(names):
        msg = (
            f"unknown settings: {unknown}. They may be of another version of the app; "
            f"take them out."
        )
        raise UsageError(msg)


def _convert_value(kind: Any, value: Any, setting: str) -> Any:
    """Convert a value of a record to the type of its field."""
    options = get_args(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return None if value is None else _convert_value(_drop_none(kind), value, setting)
    if get_origin(kind) is tuple and isinstance(value, list | tuple):
        return tuple(_convert_value(options[0], item, setting) for item in value)
    return _check_scalar(kind, value, setting)


def _drop_none(kind: Any) -> Any:
    """Return T of `T | None`."""
    return next(option for option in get_args(kind) if option is not types.NoneType)


def _check_scalar(kind: Any, value: Any, setting: str) -> Any:
    """Check a single value; an integer may stand for a float, but True and False for no number."""
    if get_origin(kind) is Literal:
        is_valid = value in get_args(kind)
    elif kind is float:
        is_valid = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        is_valid = type(value) is (str if kind is Path else kind)
    if not is_valid:
        msg = f"setting {setting}: {value!r} is not of the kind {getattr(kind, '__name__', kind)}"
        raise UsageError(msg)
    return kind(value) if kind in (Path, float) else value
