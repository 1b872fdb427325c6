"""The help of `bids-shresnet`: the common flags on two screens, or all of them."""

from __future__ import annotations

import inspect
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from bids_shresnet.cli.boutiques import COUNTER_FLAGS, Setting, iter_settings
from bids_shresnet.cli.config_file import POSITIONALS, is_flat_group
from bids_shresnet.cli.repeated_flags import is_list
from bids_shresnet.config import Config

GROUP_TITLES: Mapping[str, str] = {  # by the fields of Config
    "input": "Input",
    "output": "Output",
    "run": "Run",
    "scanner": "Scanners and pairs",
    "model": "Models and methods",
    "harmonization": "Harmonization",
    "resource": "Resources",
    "network": "Network",
    "training": "Training",
}
COMMON_SETTINGS = (
    "participant_label",
    "session_label",
    "derivatives",
    "work_dir",
    "dry_run",
    "reports_only",
    "verbose",
    "target",
    "pair",
    "scanner_map",
    "scanner_from",
    "models",
    "nprocs",
    "mem",
    "device",
)
METAVARS: Mapping[str, str] = {  # what a value is; by default its type says it
    "participant_label": "LABEL",
    "exclude_participant_label": "LABEL",
    "session_label": "LABEL",
    "derivatives": "NAME=PATH",
    "target": "SCANNER",
    "pair": "SOURCE:TARGET",
    "scanner_column": "NAME",
    "scanner_from": "REGEX",
    "split_by": "KEY",
    "alias": "LABEL=NAME",
    "mem": "MB",
    "mem_gb": "GB",
    "device": "DEVICE",
}
TYPE_METAVARS: Mapping[Any, str] = {int: "N", float: "X", Path: "PATH", str: "TEXT"}
GENERAL_FLAGS: Mapping[str, str] = {
    "-h, --help": "Show the common flags.",
    "--help-all": "Show all flags.",
    "--version": "Print the version; with -v also what a bug report needs.",
    "--config-file FILE": "Settings of a logs/<run>/config.json, or of a .toml with the names of "
    "flags. Flags of the command line take precedence.",
    "--print-completion SHELL": "Print the tab completion of bash, zsh or tcsh.",
    "--bids-exec-spec": "Print the Boutiques descriptor.",
}
COMMON_GENERAL_FLAGS = 4  # the first of them
MAX_LISTED_CHOICES = 4  # of a value, before the text lists them
USAGE = "usage: bids-shresnet BIDS_DIR OUTPUT_DIR {participant,group} [FLAGS]"
EXAMPLES = """\
Examples:
  bids-shresnet /data /out participant --dry-run      what would be done
  bids-shresnet /data /out group                      train and validate
  bids-shresnet /data /out participant                harmonize all scans
  bids-shresnet /data /out participant --participant-label 01 --nprocs 1"""
DOCUMENTATION_URL = "https://github.com/bids-apps/shresnet/tree/main/docs"
SENTENCE_END = re.compile(r"(?<=\.)\s+(?=[A-Z])")
MAX_WIDTH = 100  # characters, for texts that are easy to read
TEXT_COLUMN = 30  # where the texts begin


def render_help(*, is_complete: bool) -> str:
    """Return the help, as wide as the terminal: all flags and texts, or what is common."""
    columns = min(shutil.get_terminal_size().columns, MAX_WIDTH)
    summary, description = inspect.cleandoc(Config.__doc__ or "").split("\n\n")
    blocks = [USAGE, summary, textwrap.fill(description, columns), EXAMPLES]
    for title, settings in iter_groups():
        entries = {_entry_name(item): _entry_text(item) for item in settings}
        if not is_complete:
            common = [item for item in settings if item.name in (*POSITIONALS, *COMMON_SETTINGS)]
            entries = {_entry_name(item): _first_sentence(_entry_text(item)) for item in common}
        blocks += _render_group(title, entries, columns)
    names = list(GENERAL_FLAGS)[: None if is_complete else COMMON_GENERAL_FLAGS]
    blocks += _render_group("General", {name: GENERAL_FLAGS[name] for name in names}, columns)
    return "\n\n".join([*blocks, f"Documentation: {DOCUMENTATION_URL}"]) + "\n"


def iter_groups() -> Iterator[tuple[str, list[Setting]]]:
    """Yield the title of each group of flags, with its settings."""
    for name, hint in get_type_hints(Config, include_extras=True).items():
        is_flat = is_flat_group(hint)
        kind = get_args(hint)[0] if is_flat else hint
        yield GROUP_TITLES[name], list(iter_settings(kind, "" if is_flat else f"{name}."))


def _entry_name(setting: Setting) -> str:
    """Return how a flag is written, with a name for its value."""
    if setting.name == "analysis_level":
        return "{participant,group}"
    if setting.name in POSITIONALS:
        return setting.name.upper()
    short = "".join(f"{name}, " for name in setting.aliases if not name.startswith("--"))
    if setting.name in COUNTER_FLAGS:
        return f"{short}{setting.flag}"
    if setting.hint is bool:
        return setting.negative_flag if setting.field.default is True else setting.flag
    return f"{short}{setting.flag} {_metavar(setting)}"


def _metavar(setting: Setting) -> str:
    """Name the value of a flag: its choices, what METAVARS says, or its type."""
    choices = _choices(setting)
    if choices and len(choices) <= MAX_LISTED_CHOICES:
        value = f"{{{','.join(choices)}}}"
    else:
        kinds = [setting.hint, *get_args(setting.hint)]
        types = [TYPE_METAVARS[kind] for kind in kinds if kind in TYPE_METAVARS]
        value = METAVARS.get(setting.name) or (types or ["NAME"])[0]
    return f"{value} ..." if is_list(setting) else value


def _choices(setting: Setting) -> tuple[str, ...]:
    """Return the values that a setting, or each item of a list, may have; empty for any."""
    for kind in (setting.hint, *get_args(setting.hint)):
        if get_origin(kind) is Literal:
            return get_args(kind)
    return ()


def _entry_text(setting: Setting) -> str:
    """Return the text of a flag with its choices, if they are many, and its default."""
    default = setting.field.default
    if setting.hint is bool:
        return f"Not this: {setting.text}" if default is True else setting.text
    choices = _choices(setting)
    listed = f" Names: {', '.join(choices)}." if len(choices) > MAX_LISTED_CHOICES else ""
    has_value = isinstance(default, str | int | float) and setting.name not in COUNTER_FLAGS
    shown_default = f" (default: {default})" if has_value else ""
    return f"{setting.text}{listed}{shown_default}"


def _first_sentence(text: str) -> str:
    return SENTENCE_END.split(text, maxsplit=1)[0]


def _render_group(title: str, entries: Mapping[str, str], columns: int) -> list[str]:
    """Write a group of flags; nothing if none is shown."""
    lines = [_render_entry(name, text, columns) for name, text in entries.items()]
    return ["\n".join([f"{title}:", *lines])] if lines else []


def _render_entry(name: str, text: str, columns: int) -> str:
    """Write a flag and its text beside it, or below it if the flag is long."""
    wrap = partial(textwrap.fill, width=columns, break_on_hyphens=False)
    indent = " " * TEXT_COLUMN
    heading = wrap(f"  {name}", subsequent_indent="      ")
    described = wrap(text, initial_indent=indent, subsequent_indent=indent)
    if len(heading) > TEXT_COLUMN - 2:
        return f"{heading}\n{described}"
    return f"{heading:{TEXT_COLUMN}}{described[TEXT_COLUMN:]}"
