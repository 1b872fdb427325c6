"""Reading the command line, and talking back."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import tyro

from bids_shresnet.config import Config
from bids_shresnet.errors import InputMissing, UsageError

CONFIG_FILE = "--config-file"


def parse(arguments: Sequence[str]) -> Config:
    """Read the command line; `--config-file FILE` takes what is not given from the record of an earlier run.

    Raises
    ------
    UsageError
        If the values contradict each other.
    SystemExit
        With code 64 after the parser has said what is wrong, with 0 after the help.
    """
    rest, recorded = _recorded(list(arguments))
    try:
        if recorded is None:
            return tyro.cli(Config, prog="bids-shresnet", args=rest)
        return tyro.cli(Config, prog="bids-shresnet", args=rest, default=recorded)
    except SystemExit as stop:  # argument parsers exit with 2, which is reserved for the shell
        raise SystemExit(UsageError.exit_code if stop.code else 0) from None


def _recorded(arguments: list[str]) -> tuple[list[str], Config | None]:
    """Take `--config-file FILE` out of the arguments and read it."""
    if CONFIG_FILE not in arguments:
        return arguments, None
    from bids_shresnet.files.records import from_record
    from bids_shresnet.files.storage import read_json

    place = arguments.index(CONFIG_FILE)
    if place + 1 == len(arguments):
        msg = f"{CONFIG_FILE} needs the path of a config.json (logs/<run>/config.json of an earlier run)"
        raise UsageError(msg)
    path = Path(arguments[place + 1])
    if not path.is_file():
        msg = f"{CONFIG_FILE} {path}: no such file"
        raise InputMissing(msg)
    return arguments[:place] + arguments[place + 2 :], from_record(read_json(path))


@contextmanager
def log_to_screen(verbose: int) -> Iterator[None]:
    """Show what the app says (once verbose: with the module, twice: for debugging) while the body runs."""
    logger = logging.getLogger("bids_shresnet")
    handler = logging.StreamHandler()
    handler.setFormatter(
        logging.Formatter(
            "%(asctime)s %(message)s" if not verbose else "%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"
        )
    )
    logger.setLevel(logging.DEBUG if verbose > 1 else logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
