"""Flags as people write them: other spellings become the one of this app, unknown ones are named.

The parser then knows one name for each flag, which its messages use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache

from bids_shresnet.cli.boutiques import iter_settings
from bids_shresnet.cli.config_file import POSITIONALS
from bids_shresnet.cli.repeated_flags import join_repeated_flags
from bids_shresnet.config import Config
from bids_shresnet.errors import UsageError

COUNTED_FLAG = re.compile("-v+")  # -vv is -v -v
NUMBER = re.compile(r"-\.?\d")
HELP_FLAGS = ("-h", "--help", "--help-all")
OTHER_FLAGS = ("--version", "--config-file", "--print-completion", "--bids-exec-spec")


def canonicalize_flags(arguments: Sequence[str]) -> list[str]:
    """Return a command line with one spelling for each flag; what follows `--` stays as it is.

    The values of a list flag that is given several times are joined.

    Raises
    ------
    UsageError
        If an option does not exist, with those that are spelled alike.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    canonical: list[str] = []
    for argument in arguments[:end]:
        canonical += _canonicalize(argument)
    return [*join_repeated_flags(canonical), *arguments[end:]]


def _canonicalize(argument: str) -> list[str]:
    if not argument.startswith("-") or argument == "-" or NUMBER.match(argument):
        return [argument]
    if COUNTED_FLAG.fullmatch(argument):
        return ["--verbose"] * (len(argument) - 1)
    if not argument.startswith("--"):
        return _canonicalize_short_flag(argument)
    name, separator, value = argument.partition("=")
    flag = flag_spellings().get(name.replace("_", "-"))
    if flag is None:
        raise UsageError(_describe_unknown_option(name))
    return [f"{flag}{separator}{value}"]


def _canonicalize_short_flag(argument: str) -> list[str]:
    """Replace a flag of one letter; a value may follow it without a space, as in -w/scratch."""
    spellings = flag_spellings()
    long_name = f"-{argument.partition('=')[0].replace('_', '-')}"
    flag = spellings.get(argument[:2])
    if flag is None or long_name in spellings:
        raise UsageError(_describe_unknown_option(argument))
    return [flag, argument[2:]] if argument[2:] else [flag]


def _describe_unknown_option(name: str) -> str:
    known = [spelling for spelling in flag_spellings() if spelling.startswith("--")]
    word = f"--{name.lstrip('-').replace('_', '-')}"
    similar = [word] if word in known else get_close_matches(word, known, n=3)
    canonical = dict.fromkeys(flag_spellings()[spelling] for spelling in similar)
    advice = f"perhaps you meant {' or '.join(canonical)}" if canonical else "--help-all lists all"
    return f"unknown option {name}; {advice}"


@cache
def flag_spellings() -> Mapping[str, str]:
    """Return the flag for each of its spellings, with dashes for underscores."""
    return dict(_iter_spellings())


def _iter_spellings() -> Iterator[tuple[str, str]]:
    for setting in iter_settings(Config):
        if setting.name in POSITIONALS:
            continue
        for spelling in (setting.flag, *setting.aliases):
            yield spelling, setting.flag
        if setting.hint is bool:
            yield setting.negative_flag, setting.negative_flag
    for flag in (*HELP_FLAGS, *OTHER_FLAGS):  # only to be suggested
        yield flag, flag
