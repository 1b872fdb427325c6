"""Frozen dataclasses as JSON objects with BIDS-like keys: `sh_order` becomes `SHOrder`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import Field, fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Record = TypeVar("Record")
SPELLINGS = {  # words of field names that a key spells in another way than capitalized
    "bvalue": "BValue",
    "fa": "FA",
    "icc": "ICC",
    "md": "MD",
    "nmse": "NMSE",
    "resblocks": "ResBlocks",
    "sgd": "SGD",
    "sh": "SH",
    "sha256": "SHA256",
}


def to_json(value: Any) -> Any:
    """Convert a dataclass, and the dataclasses inside it, to plain JSON.

    A field that is None, or an empty tuple by default, gets no key.
    """
    if is_dataclass(value):
        return {json_key(item.name): to_json(content) for item, content in _iter_fields(value)}
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    return value


def from_json(kind: type[Record], record: Mapping[str, Any]) -> Record:
    """Convert what `to_json` returned back to a dataclass; its form is that of the dataclass."""
    hints = get_type_hints(kind)
    keys = {name: json_key(name) for name in hints}
    values = {
        name: _convert(hints[name], record[key]) for name, key in keys.items() if key in record
    }
    return kind(**values)


def json_key(name: str) -> str:
    """Spell the name of a field as a key of JSON."""
    return "".join(SPELLINGS.get(word, word.capitalize()) for word in name.split("_"))


def _iter_fields(record: Any) -> Iterator[tuple[Field[Any], Any]]:
    """Iterate over the fields that get a key, and what they hold."""
    for item in fields(record):
        value = getattr(record, item.name)
        is_left_out = value is None or (value == () and item.default == ())
        if not is_left_out:
            yield item, value


def _convert(hint: Any, value: Any) -> Any:
    """Convert a value of JSON to the type of a field."""
    if is_dataclass(hint):
        return from_json(hint, value)  # type: ignore[arg-type]  # a class, never an instance
    arguments = get_args(hint)
    origin = get_origin(hint)
    if origin is tuple:
        return tuple(_convert(arguments[0], item) for item in value)
    if origin is Mapping:
        return {key: _convert(arguments[1], item) for key, item in value.items()}
    if origin in (Union, UnionType):
        return _convert(arguments[0], value)  # X | None, and a value that is None has no key
    return float(value) if hint is float else value
