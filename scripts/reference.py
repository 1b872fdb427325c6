"""Write the pages of docs/reference that come from the code; scripts/docs calls this."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_shresnet import errors
from bids_shresnet.cli.boutiques import iter_inputs, make_input
from bids_shresnet.cli.program_help import GENERAL_FLAGS, iter_groups
from bids_shresnet.cli.slurm import SlurmCommand
from bids_shresnet.config import Config
from bids_shresnet.phantom.simulate import PhantomArguments, PhantomConfig

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs/reference"
SCHEMA_FILE = ROOT / "bids_shresnet/outputs/model.schema.json"
NOTE = "<!-- scripts/docs writes this page from the code. Change the code, not the page. -->\n"
SWITCHES = """\
A switch has a second form with `no`: `--validation` and `--no-validation`, `--network.skip` and
`--network.no-skip`. Every flag may be written with underscores, too. Where *(several)* values are
possible, each may also come with the flag again; of a flag with one value, the last one counts.
`-h` shows the common flags, `--help-all` all of them.
"""
OTHER_EXIT_CODES = {  # of runs without an error of the app
    0: "All went well, or there was nothing to do. After a dry run: a run would start.",
    1: "A scan failed (`logs/<run>/status.tsv` says which and why), or the program has an error.",
    errors.IO_ERROR_EXIT_CODE: "Reading or writing failed in the middle of a run.",
}


def pages() -> dict[Path, str]:
    """Return the text of every generated page."""
    schema = SCHEMA_FILE.read_text(encoding="utf-8")
    return {
        REFERENCE / "command-line.md": command_line(),
        REFERENCE / "exit-codes.md": exit_codes(),
        REFERENCE / "model.md": model_page(json.loads(schema)),
        REFERENCE / "model.schema.json": schema,
    }


def command_line() -> str:
    """Describe every flag: spellings, values, default and meaning."""
    summary, _, rest = inspect.cleandoc(Config.__doc__ or "").partition("\n\n")
    lines = [NOTE, "# Command line\n", f"{summary}\n", f"{_escape(rest)}\n", SWITCHES]
    for title, settings in iter_groups():
        lines.append(f"## {title}\n")
        lines += [_describe_flag(make_input(item), item.aliases) for item in settings]
    lines.append("## General\n")
    for name, text in GENERAL_FLAGS.items():
        lines.append(f"{_anchor(name)}`{name}`\n:   {_escape(text)}\n")
    return "\n".join([*lines, *_slurm_command_line(), *_phantom_command_line()])


def _slurm_command_line() -> list[str]:
    summary = inspect.cleandoc(SlurmCommand.__doc__ or "")
    flags = [_describe_flag(flag) for flag in iter_inputs(SlurmCommand)]
    return ["## bids-shresnet-slurm\n", f"{_escape(summary)}\n", *flags]


def _phantom_command_line() -> list[str]:
    summary = inspect.cleandoc(PhantomArguments.__doc__ or "")
    out, score, *_ = iter_inputs(PhantomArguments)
    out = {"name": out["name"], "description": out["description"]}
    flags = [_describe_flag(flag) for flag in (out, score, *iter_inputs(PhantomConfig))]
    return ["## bids-shresnet-phantom\n", f"{summary}\n", *flags]


def _describe_flag(flag: Mapping[str, Any], aliases: Sequence[str] = ()) -> str:
    """Write one flag, an input of the Boutiques descriptor, as an entry of a definition list."""
    name = flag.get("command-line-flag", flag["name"].upper())
    spellings = ", ".join(f"`{spelling}`" for spelling in (name, *aliases))
    notes = _value_notes(flag)
    suffix = f" *({'; '.join(notes)})*" if notes else ""
    return f"{_anchor(name)}{spellings}\n:   {_escape(flag['description'])}{suffix}\n"


def _anchor(names: str) -> str:
    """Let pages link to the first long flag of some names; nothing for a positional."""
    flag = re.search(r"--([\w.-]+)", names)
    return f'<a id="{flag[1]}"></a>' if flag else ""


def _value_notes(flag: Mapping[str, Any]) -> list[str]:
    notes = []
    if flag.get("value-choices"):
        choices = ", ".join(f"`{value}`" for value in flag["value-choices"])
        notes.append(f"one of {choices}")
    if flag.get("list"):
        notes.append("several")
    if flag.get("default-value") not in (None, ""):
        notes.append(f"default `{flag['default-value']}`")
    return notes


def _escape(text: str) -> str:
    """Escape markup outside of backticks."""
    parts = text.split("`")
    parts[::2] = [part.replace("<", "&lt;").replace("*", r"\*") for part in parts[::2]]
    return "`".join(parts)


def exit_codes() -> str:
    """Describe every code a run can end with."""
    meanings = dict(OTHER_EXIT_CODES)
    meanings[errors.Interrupted.exit_code] = _summary(errors.Interrupted)
    meanings |= {error.exit_code: _summary(error) for error in _error_classes()}
    rows = [f"| {code} | {meaning} |" for code, meaning in sorted(meanings.items())]
    return "\n".join([NOTE, "# Exit codes\n", "| code | what happened |", "|---|---|", *rows, ""])


def _summary(documented: type) -> str:
    """Return the first line of a docstring."""
    return inspect.cleandoc(documented.__doc__ or "").partition("\n")[0]


def _error_classes() -> list[type[errors.ShresnetError]]:
    classes = [value for value in vars(errors).values() if inspect.isclass(value)]
    base = errors.ShresnetError
    return [kind for kind in classes if issubclass(kind, base) and kind is not base]


def model_page(schema: Mapping[str, Any]) -> str:
    """Describe every key of model.json, from its JSON schema."""
    lines = [
        NOTE,
        f"# {schema['title']}\n",
        f"{schema['description']} [JSON schema](model.schema.json)\n",
        "| key | holds |",
        "|---|---|",
    ]
    return "\n".join([*lines, *_keys(schema, schema["$defs"], prefix=""), ""])


def _keys(part: Mapping[str, Any], definitions: Mapping[str, Any], *, prefix: str) -> Iterator[str]:
    """Yield one row for each key of an object, followed by the keys inside it."""
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
