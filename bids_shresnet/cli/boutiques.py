"""The command line as a Boutiques descriptor (schema 0.5), read off the configuration, so that they cannot differ."""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from bids_shresnet.config import ANALYSIS_LEVELS, Config
from bids_shresnet.version import __version__

POSITIONALS = ("bids_dir", "output_dir", "analysis_level")
VALUE_CHOICES = {"analysis_level": list(dict.fromkeys(ANALYSIS_LEVELS.values()))}
COUNTER_FLAGS = ("verbose",)  # -v says more, -vv even more; a descriptor knows once or not at all
NUMBER_TYPES: Mapping[Any, dict[str, Any]] = {
    int: {"type": "Number", "integer": True},
    float: {"type": "Number"},
}


def make_descriptor() -> dict[str, Any]:
    """Return the descriptor: every flag of `Config` is an input of the same name, nested ones with a dot."""
    inputs = list(iter_inputs(Config))
    command = " ".join(["bids-shresnet", *(one["value-key"] for one in inputs)])
    summary, _, rest = inspect.cleandoc(Config.__doc__ or "").partition("\n\n")
    return {
        "name": "bids_shresnet",
        "description": f"{summary} {' '.join(rest.split())}",
        "tool-version": __version__,
        "schema-version": "0.5",
        "command-line": command,
        "inputs": inputs,
        "output-files": [
            {
                "id": "output_dir_files",
                "name": "Harmonized dataset",
                "description": "BIDS derivative dataset, derivatives/shresnet below it.",
                "path-template": "[OUTPUT_DIR]",
                "optional": False,
            }
        ],
        "custom": {"BIDSAppSpecVersion": "0.1.0.dev"},
        "tags": {"domain": ["neuroinformatics", "bids-app", "mri"]},
    }


def iter_inputs(kind: type, section: str = "") -> Iterator[dict[str, Any]]:
    """Inputs of a dataclass of settings; `section` is its name with a dot at its end."""
    hints, texts = get_type_hints(kind), _field_docs(kind)
    for item in fields(kind):
        name, hint = f"{section}{item.name}", hints[item.name]
        if is_dataclass(hint) and isinstance(hint, type):
            yield from iter_inputs(hint, f"{name}.")
        else:
            yield _make_input(name, hint, item, texts[item.name])


def _make_input(name: str, hint: Any, item: Field[Any], text: str) -> dict[str, Any]:
    flag, key = f"--{name.replace('_', '-')}", name.replace(".", "_")
    if hint is bool and item.default is True:  # the flag that says no
        head, _, tail = flag.removeprefix("--").rpartition(".")
        flag, key, text = f"--{head}{'.' * bool(head)}no-{tail}", f"no_{key}", f"Not this: {text}"
    found = {
        "id": key,
        "name": name,
        "description": text,
        "value-key": f"[{key.upper()}]",
        **_boutiques_type(hint),
    }
    if name in COUNTER_FLAGS:
        found = {**found, "type": "Flag"}
        del found["integer"]
    if name in VALUE_CHOICES:
        found["value-choices"] = VALUE_CHOICES[name]
    if name in POSITIONALS:
        return {**found, "optional": False}
    default = (
        item.default
        if isinstance(item.default, str | int | float) and found["type"] != "Flag"
        else None
    )
    given = {} if default is None or item.default is MISSING else {"default-value": default}
    return {**found, "optional": True, "command-line-flag": flag, **given}


def _boutiques_type(hint: Any) -> dict[str, Any]:
    """What Boutiques calls a type."""
    if get_origin(hint) in (Union, types.UnionType):
        return _boutiques_type(
            next(option for option in get_args(hint) if option is not types.NoneType)
        )
    if get_origin(hint) is tuple:
        return {**_boutiques_type(get_args(hint)[0]), "list": True}
    if get_origin(hint) is Literal:
        return {"type": "String", "value-choices": list(get_args(hint))}
    if hint is bool:
        return {"type": "Flag"}
    return NUMBER_TYPES.get(hint, {"type": "File" if hint is Path else "String"})


def _field_docs(kind: type) -> dict[str, str]:
    """The text below each field of a dataclass, which Python itself does not keep."""
    (definition,) = ast.parse(dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for line, below in zip(definition.body, definition.body[1:], strict=False):
        if (
            isinstance(line, ast.AnnAssign)
            and isinstance(line.target, ast.Name)
            and isinstance(below, ast.Expr)
        ):
            found[line.target.id] = " ".join(str(ast.literal_eval(below.value)).split())
    return found
