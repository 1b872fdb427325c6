"""Write the pages of docs/reference that are read off the code; scripts/docs calls it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from bids_shresnet import errors
from bids_shresnet.cli.boutiques import iter_inputs
from bids_shresnet.cli.config_file import is_flat_group
from bids_shresnet.config import Config
from bids_shresnet.phantom.simulate import PhantomArguments, PhantomConfig

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs/reference"
SCHEMA_FILE = ROOT / "bids_shresnet/outputs/model.schema.json"
NOTE = "<!-- Written by scripts/docs; change what it was written from. -->\n"
GROUPS = {  # headings, by the first flag below them
    "bids_dir": "Input",
    "output_dir": "Output",
    "analysis_level": "Run",
    "target": "Scanners and pairs",
    "models": "Models and methods",
    "abstain": "Harmonization",
    "nprocs": "Resources",
    "network.resblocks": "Network",
    "training.folds": "Training",
}
SWITCHES = """\
A switch has a second form with `no`: `--validation` and `--no-validation`, `--network.skip` and `--network.no-skip`. `-h` shows
all this in short.
"""
OTHERS = {  # what a run can end with beside the errors
    0: "All went well, or there was nothing to do; a dry run: a run would start.",
    1: "A scan failed (`logs/<run>/status.tsv` says which and why), or the program has an error.",
    errors.IO_ERROR_EXIT_CODE: "Reading or writing failed in the middle of a run.",
}


def pages() -> dict[Path, str]:
    """Content of every generated page."""
    return {
        REFERENCE / "command-line.md": command_line(),
        REFERENCE / "exit-codes.md": exit_codes(),
        REFERENCE / "model.md": model_page(json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))),
        REFERENCE / "model.schema.json": SCHEMA_FILE.read_text(encoding="utf-8"),
    }


def command_line() -> str:
    """Every flag with its other spellings, values, default and meaning."""
    summary, _, rest = inspect.cleandoc(Config.__doc__ or "").partition("\n\n")
    other = dict(_aliases(Config))
    lines = [NOTE, "# Command line\n", f"{summary}\n", f"{_plain(rest)}\n", SWITCHES]
    for one in iter_inputs(Config):
        if one["name"] in GROUPS:
            lines.append(f"## {GROUPS[one['name']]}\n")
        lines.append(_flag(one, other.get(one["name"], ())))
    out, score, *_ = iter_inputs(PhantomArguments)
    lines += ["## bids-shresnet-phantom\n", f"{inspect.cleandoc(PhantomArguments.__doc__ or '')}\n"]
    lines += [_flag({"name": out["name"], "description": out["description"]}, ()), _flag(score, ())]
    lines += [_flag(one, ()) for one in iter_inputs(PhantomConfig)]
    return "\n".join(lines)


def _flag(one: Mapping[str, Any], aliases: Sequence[str]) -> str:
    """One flag as a definition."""
    name = one.get("command-line-flag", one["name"].upper())
    spellings = ", ".join(f"`{spelling}`" for spelling in (name, *aliases))
    values = ", ".join(f"`{value}`" for value in one.get("value-choices", ()))
    notes = [
        *([f"one of {values}"] if values else []),
        *(["several"] if one.get("list") else []),
        *(
            [f"default `{one['default-value']}`"]
            if one.get("default-value") not in (None, "")
            else []
        ),
    ]
    return (
        f"{spellings}\n:   {_plain(one['description'])}"
        + f" *({'; '.join(notes)})*" * bool(notes)
        + "\n"
    )


def _plain(text: str) -> str:
    """Text in which only what stands between backticks is markup."""
    parts = text.split("`")
    parts[::2] = [part.replace("<", "&lt;").replace("*", r"\*") for part in parts[::2]]
    return "`".join(parts)


def _aliases(kind: type) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Other spellings of each flag without a prefix; those with one have no other."""
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        hint = hints[field.name]
        if is_flat_group(hint):
            yield from _aliases(get_args(hint)[0])
        for part in get_args(hint)[1:]:
            if getattr(part, "aliases", None):
                yield field.name, tuple(part.aliases)


def exit_codes() -> str:
    """Every code a run can end with."""
    own = {
        error.exit_code: inspect.cleandoc(error.__doc__ or "").partition("\n")[0]
        for error in _errors()
    }
    rows = [f"| {code} | {text} |" for code, text in sorted((OTHERS | own).items())]
    return "\n".join([NOTE, "# Exit codes\n", "| code | what happened |", "|---|---|", *rows, ""])


def _errors() -> list[type[errors.ShresnetError]]:
    return [
        one
        for one in vars(errors).values()
        if inspect.isclass(one)
        and issubclass(one, errors.ShresnetError)
        and one is not errors.ShresnetError
    ]


def model_page(schema: Mapping[str, Any]) -> str:
    """Every key of model.json, from its JSON schema."""
    head = [
        NOTE,
        f"# {schema['title']}\n",
        f"{schema['description']} [JSON schema](model.schema.json)\n",
        "| key | holds |",
        "|---|---|",
    ]
    return "\n".join([*head, *_keys(schema, schema["$defs"], prefix=""), ""])


def _keys(part: Mapping[str, Any], definitions: Mapping[str, Any], *, prefix: str) -> Iterator[str]:
    """One row for each key of an object, followed by the keys inside it."""
    for name, value in part.get("properties", {}).items():
        optional = "" if name in part["required"] else " *(optional)*"
        yield f"| `{prefix}{name}` | {value['description']}{optional} |"
        definition = definitions.get(value.get("$ref", "").removeprefix("#/$defs/"), value)
        yield from _keys(definition, definitions, prefix=f"{prefix}{name}.")
        for key, suffix in (("items", "[]."), ("additionalProperties", ".<name>.")):
            inner = definition.get(key)
            if isinstance(inner, dict):
                yield from _keys(inner, definitions, prefix=f"{prefix}{name}{suffix}")


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
