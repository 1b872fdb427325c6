"""Read the command line."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path

import tyro

from bids_shresnet.cli.config_file import read_config_file
from bids_shresnet.cli.help_texts import join_help_lines, wrap_description
from bids_shresnet.cli.resolve import resolve_config
from bids_shresnet.config import ANALYSIS_LEVELS, Config
from bids_shresnet.errors import UsageError

PROGRAM = "bids-shresnet"
CONFIG_FILE_FLAGS = ("--config-file", "--config_file")


def parse_levels(arguments: Sequence[str]) -> list[Config]:
    """Read the command line of one or several analysis levels (`participant group`).

    The group comes first, because it makes and validates the models that participants need.

    Raises
    ------
    UsageError
        Like `parse`, and if several levels are to print one JSON document.
    """
    is_level = [argument in ANALYSIS_LEVELS for argument in arguments]
    begin = is_level.index(True) if any(is_level) else len(arguments)
    levels = list(takewhile(ANALYSIS_LEVELS.__contains__, arguments[begin:]))
    if len(levels) < 2:
        return [parse(arguments)]
    before = arguments[:begin]
    after = arguments[begin + len(levels) :]
    requested = {ANALYSIS_LEVELS[level] for level in levels}
    configs = [parse([*before, level, *after]) for level in sorted(requested)]
    if any(config.run.json for config in configs):
        msg = f"--json prints one document: name one analysis level, not {' '.join(levels)}"
        raise UsageError(msg)
    return configs


def parse(arguments: Sequence[str]) -> Config:
    """Read the command line.

    `--config-file FILE` gives the settings of an earlier run to all flags that are not named.

    Raises
    ------
    UsageError
        If the values contradict each other.
    SystemExit
        With code 64 after the parser has printed what is wrong, with 0 after the help.
    """
    flags, config_file = _split_config_file(arguments)
    recorded = None if config_file is None else read_config_file(config_file, CONFIG_FILE_FLAGS[0])
    join_help_lines(Config)
    command_line = partial(tyro.cli, Config, prog=PROGRAM, description=wrap_description(Config))
    try:
        if recorded is None:
            config = command_line(args=flags)
        else:
            config = command_line(args=flags, default=recorded)
    except SystemExit as stop:  # argument parsers exit with 2, which is reserved for the shell
        raise SystemExit(UsageError.exit_code if stop.code else 0) from None
    return resolve_config(config)


def _split_config_file(arguments: Sequence[str]) -> tuple[list[str], Path | None]:
    """Separate `--config-file FILE` or `--config-file=FILE` from the other arguments."""
    for position, argument in enumerate(arguments):
        flag, separator, value = argument.partition("=")
        if flag not in CONFIG_FILE_FLAGS:
            continue
        end = position + (1 if separator else 2)
        if end > len(arguments):
            msg = (
                f"{CONFIG_FILE_FLAGS[0]} needs the path of a config.json "
                f"(logs/<run>/config.json of an earlier run)"
            )
            raise UsageError(msg)
        path = value if separator else arguments[position + 1]
        return [*arguments[:position], *arguments[end:]], Path(path)
    return list(arguments), None
