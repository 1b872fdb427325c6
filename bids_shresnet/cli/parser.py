"""Reading the command line, and talking back."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from logging.handlers import MemoryHandler
from pathlib import Path

import tyro

from bids_shresnet.config import ANALYSIS_LEVELS, Config
from bids_shresnet.errors import InputMissing, UsageError
from bids_shresnet.runtime.progress import LOGGER, ScreenHandler

CONFIG_FILE_FLAGS = ("--config-file", "--config_file")


def parse_levels(arguments: Sequence[str]) -> list[Config]:
    """Read the command line of one or several analysis levels (`participant group`), in the order they are to run.

    The group comes first, because it makes and validates the models that participants need.

    Raises
    ------
    UsageError
        As `parse`, and if several levels are to print one document.
    """
    begin = next(
        (place for place, one in enumerate(arguments) if one in ANALYSIS_LEVELS), len(arguments)
    )
    named = list(takewhile(ANALYSIS_LEVELS.__contains__, arguments[begin:]))
    if len(named) < 2:
        return [parse(arguments)]
    before, after = arguments[:begin], arguments[begin + len(named) :]
    configs = [
        parse([*before, level, *after]) for level in sorted({ANALYSIS_LEVELS[one] for one in named})
    ]
    if any(config.json for config in configs):
        msg = f"--json prints one document: name one analysis level, not {' '.join(named)}"
        raise UsageError(msg)
    return configs


def parse(arguments: Sequence[str]) -> Config:
    """Read the command line; `--config-file FILE` takes what is not given from the record of an earlier run.

    Raises
    ------
    UsageError
        If the values contradict each other.
    SystemExit
        With code 64 after the parser has said what is wrong, with 0 after the help.
    """
    rest, recorded = _take_config_file(list(arguments))
    try:
        if recorded is None:
            return tyro.cli(Config, prog="bids-shresnet", args=rest)
        return tyro.cli(Config, prog="bids-shresnet", args=rest, default=recorded)
    except SystemExit as stop:  # argument parsers exit with 2, which is reserved for the shell
        raise SystemExit(UsageError.exit_code if stop.code else 0) from None


def _take_config_file(arguments: list[str]) -> tuple[list[str], Config | None]:
    """Take `--config-file FILE` out of the arguments and read it."""
    arguments = [
        part
        for one in arguments
        for part in (one.split("=", 1) if one.startswith(CONFIG_FILE_FLAGS) else [one])
    ]
    place = next((place for place, one in enumerate(arguments) if one in CONFIG_FILE_FLAGS), None)
    if place is None:
        return arguments, None
    from bids_shresnet.cli.config_file import from_record

    flag = CONFIG_FILE_FLAGS[0]
    if place + 1 == len(arguments):
        msg = f"{flag} needs the path of a config.json (logs/<run>/config.json of an earlier run)"
        raise UsageError(msg)
    path = Path(arguments[place + 1])
    if not path.is_file():
        msg = f"{flag} {path}: no such file"
        raise InputMissing(msg)
    try:  # not by files.storage: numpy, which it needs, must not be loaded before threads are limited
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        msg = f"{flag} {path}: not a JSON file ({error})"
        raise UsageError(msg) from error
    return arguments[:place] + arguments[place + 2 :], from_record(record)


@contextmanager
def log_to_screen(verbose: int) -> Iterator[None]:
    """Show what the app says (once verbose: with the module, twice: for debugging) in the body.

    All of it is kept as well, until `provenance.start_run` opens the run's log and puts it there.
    """
    screen, kept = ScreenHandler(), MemoryHandler(sys.maxsize, flushLevel=sys.maxsize)
    screen.setLevel(logging.DEBUG if verbose > 1 else logging.INFO)
    screen.setFormatter(
        logging.Formatter(
            "%(asctime)s %(message)s"
            if not verbose
            else "%(asctime)s %(levelname)s %(name)s: %(message)s",
            "%H:%M:%S",
        )
    )
    LOGGER.setLevel(logging.DEBUG)
    for handler in (screen, kept):
        LOGGER.addHandler(handler)
    try:
        yield
    finally:
        for handler in (screen, kept):
            LOGGER.removeHandler(handler)
