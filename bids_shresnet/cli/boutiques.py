"""The command line as a Boutiques descriptor (schema 0.5), made from the settings themselves."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from docstring_parser import parse_from_object

from bids_shresnet.cli.config_file import POSITIONALS, is_flat_group
from bids_shresnet.config import ANALYSIS_LEVELS, Aliases, Config
from bids_shresnet.version import __version__

VALUE_CHOICES = {"analysis_level": list(dict.fromkeys(ANALYSIS_LEVELS.values()))}
COUNTER_FLAGS = ("verbose",)  # a descriptor has no counters: -v, but not -vv
NUMBER_TYPES: Mapping[Any, dict[str, Any]] = {
    int: {"type": "Number", "integer": True},
    float: {"type": "Number"},
}
OUTPUT_FOLDER = {
    "id": "output_dir_files",
    "name": "Harmonized dataset",
    "description": "BIDS derivative dataset, derivatives/shresnet below it.",
    "path-template": "[OUTPUT_DIR]",
    "optional": False,
}
Input = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """A field of a dataclass of settings.

    Attributes
    ----------
    name
        Name with the prefix of its group, such as `network.resblocks`.
    hint
        Type, without what `Annotated` adds.
    text
        Help.
    aliases
        Further spellings of its flag.
    """

    name: str
    field: Field[Any]
    hint: Any
    text: str
    aliases: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        """The flag in the spelling that help and messages use."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def negative_flag(self) -> str:
        """The flag that turns a switch off."""
        section, dot, name = self.name.replace("_", "-").rpartition(".")
        return f"--{section}{dot}no-{name}"


def make_descriptor() -> dict[str, Any]:
    """Make the descriptor: every setting is an input of the same name."""
    inputs = list(iter_inputs(Config))
    inputs.sort(key=lambda entry: entry["optional"])  # positionals first; all else as it is
    command = " ".join(["bids-shresnet", *(entry["value-key"] for entry in inputs)])
    return {
        "name": "bids_shresnet",
        "description": " ".join(inspect.cleandoc(Config.__doc__ or "").split()),
        "tool-version": __version__,
        "schema-version": "0.5",
        "command-line": command,
        "inputs": inputs,
        "output-files": [OUTPUT_FOLDER],
        "custom": {"BIDSAppSpecVersion": "0.1.0.dev"},
        "tags": {"domain": ["neuroinformatics", "bids-app", "mri"]},
    }


def iter_inputs(kind: type) -> Iterator[Input]:
    """Iterate over the inputs of a dataclass of settings."""
    return map(make_input, iter_settings(kind))


def iter_settings(kind: type, prefix: str = "") -> Iterator[Setting]:
    """Iterate over the settings of a dataclass and of the groups in it."""
    hints = get_type_hints(kind)
    groups = get_type_hints(kind, include_extras=True)
    texts = {item.arg_name: item.description for item in parse_from_object(kind).params}
    for field in fields(kind):
        hint = hints[field.name]
        if is_dataclass(hint) and isinstance(hint, type):
            is_flat = is_flat_group(groups[field.name])
            yield from iter_settings(hint, prefix if is_flat else f"{prefix}{field.name}.")
        else:
            text = " ".join((texts[field.name] or "").split())
            aliases = _find_aliases(groups[field.name])
            yield Setting(f"{prefix}{field.name}", field, hint, text, aliases)


def _find_aliases(hint: Any) -> tuple[str, ...]:
    """Return the further spellings that the annotation of a setting names."""
    named = [note.names for note in get_args(hint)[1:] if isinstance(note, Aliases)]
    return named[0] if named else ()


def make_input(setting: Setting) -> Input:
    """Describe one setting as Boutiques does."""
    entry = {
        "id": setting.name.replace(".", "_"),
        "name": setting.name,
        "description": setting.text,
        "value-key": f"[{setting.name.replace('.', '_').upper()}]",
        **_boutiques_type(setting.hint),
    }
    if setting.name in COUNTER_FLAGS:
        entry["type"] = "Flag"
        del entry["integer"]
    if setting.name in VALUE_CHOICES:
        entry["value-choices"] = VALUE_CHOICES[setting.name]
    if setting.name in POSITIONALS:
        return {**entry, "optional": False}
    if setting.hint is bool and setting.field.default is True:
        return {**entry, **_negative_flag(setting)}
    entry |= {"optional": True, "command-line-flag": setting.flag}
    return entry | _default_value(setting, entry["type"])


def _negative_flag(setting: Setting) -> Input:
    """Describe the flag that turns off what is on by default."""
    key = f"no_{setting.name.replace('.', '_')}"
    return {
        "id": key,
        "description": f"Not this: {setting.text}",
        "value-key": f"[{key.upper()}]",
        "optional": True,
        "command-line-flag": setting.negative_flag,
    }


def _default_value(setting: Setting, kind: str) -> Input:
    default = setting.field.default
    if default is MISSING or kind == "Flag" or not isinstance(default, str | int | float):
        return {}
    return {"default-value": default}


def _boutiques_type(hint: Any) -> Input:
    """Translate a type to its name in Boutiques."""
    options = [option for option in get_args(hint) if option is not types.NoneType]
    if get_origin(hint) in (Union, types.UnionType):
        return _boutiques_type(options[0])
    if get_origin(hint) is tuple:
        return {**_boutiques_type(options[0]), "list": True}
    if get_origin(hint) is Literal:
        return {"type": "String", "value-choices": options}
    if hint is bool:
        return {"type": "Flag"}
    return NUMBER_TYPES.get(hint, {"type": "File" if hint is Path else "String"})
