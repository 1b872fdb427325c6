"""Read the command line."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import replace
from io import StringIO
from itertools import takewhile
from pathlib import Path
from typing import Any

import tyro

from bids_shresnet.cli.config_file import (
    POSITIONALS,
    from_record,
    is_toml,
    read_config_file,
    to_record,
)
from bids_shresnet.cli.help_texts import join_help_lines
from bids_shresnet.cli.number_flags import check_numbers
from bids_shresnet.cli.resolve import resolve_config
from bids_shresnet.cli.spellings import canonicalize_flags
from bids_shresnet.config import ANALYSIS_LEVELS, Config
from bids_shresnet.errors import UsageError

PROGRAM = "bids-shresnet"
COMPLETION_FLAG = "--print-completion"
SHELLS = ("bash", "zsh", "tcsh")
CONFIG_FILE_FLAGS = ("--config-file", "--config_file")
FRAME = " \u2500\u2502\u256d\u256e\u256f\u2570"  # blanks and lines of a box


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
    return [configs[0], *map(_keep_models, configs[1:])]


def _keep_models(config: Config) -> Config:
    """Use the models that the level before has trained."""
    return replace(config, model=replace(config.model, retrain=False))


def parse(arguments: Sequence[str]) -> Config:
    """Read the command line.

    `--config-file FILE` gives its settings to all flags that are not named.

    Raises
    ------
    UsageError
        If a value is none that its flag takes, or the values contradict each other.
    """
    flags, config_file = _split_config_file(arguments)
    words = canonicalize_flags(flags)
    check_numbers(words)
    join_help_lines(Config)
    if config_file is None:
        return resolve_config(_parse_words(words))
    record = read_config_file(config_file, CONFIG_FILE_FLAGS[0])
    if is_toml(config_file):  # the dataset, the output and the level are not part of it
        plain = to_record(_parse_words(words))
        record |= {name: plain[name] for name in POSITIONALS}
    return resolve_config(_parse_words(words, default=from_record(record)))


def _parse_words(words: Sequence[str], default: Any = tyro.MISSING_NONPROP) -> Config:
    """Parse flags in their canonical spelling; `default` has the settings of all others."""
    message = StringIO()
    try:
        with redirect_stderr(message):
            config: Config = tyro.cli(
                Config,
                prog=PROGRAM,
                args=words,
                default=default,
                add_help=False,
                config=(tyro.conf.DisallowNone,),
            )
    except SystemExit:  # with 2, which is reserved for the shell
        raise UsageError(_take_out_of_frame(message.getvalue())) from None
    return config


def _take_out_of_frame(box: str) -> str:
    """Return the sentences in the box that the parser draws, below its title."""
    lines = [line.strip(FRAME) for line in box.splitlines()[1:]]
    return " ".join(line for line in lines if line.strip("-"))


def make_completion(arguments: Sequence[str]) -> str:
    """Return the script for tab completion in a shell, the first of the arguments.

    Raises
    ------
    UsageError
        If the shell is none of those that the parser knows.
    """
    shell = arguments[0] if arguments else ""
    if shell not in SHELLS:
        msg = f"{COMPLETION_FLAG} {shell}: name one of the shells {', '.join(SHELLS)}"
        raise UsageError(msg)
    output = StringIO()
    with redirect_stdout(output), suppress(SystemExit):
        tyro.cli(Config, prog=PROGRAM, args=["--tyro-print-completion", shell])
    return output.getvalue()


def _split_config_file(arguments: Sequence[str]) -> tuple[list[str], Path | None]:
    """Separate `--config-file FILE` or `--config-file=FILE` from the other arguments."""
    for position, argument in enumerate(arguments):
        flag, separator, value = argument.partition("=")
        if flag not in CONFIG_FILE_FLAGS:
            continue
        end = position + (1 if separator else 2)
        if end > len(arguments):
            msg = (
                f"{CONFIG_FILE_FLAGS[0]} needs the path of a TOML file, or of the "
                f"logs/<run>/config.json of an earlier run"
            )
            raise UsageError(msg)
        path = value if separator else arguments[position + 1]
        return [*arguments[:position], *arguments[end:]], Path(path)
    return list(arguments), None
