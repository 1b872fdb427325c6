"""How the small programs end: with an answer on stdout, or with an error as a sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable

from bids_shresnet.errors import IO_ERROR_EXIT_CODE, ShresnetError
from bids_shresnet.runtime.logs import silence


def print_answer(program: str, find_answer: Callable[[], str]) -> int:
    """Print what a program has found, or why it has not; return the exit code."""
    try:
        sys.stdout.write(find_answer())
        sys.stdout.flush()
    except ShresnetError as error:
        sys.stderr.write(f"{program}: {error}\n")
        return error.exit_code
    except OSError as error:
        return report_io_error(program, error)
    return 0


def report_io_error(program: str, error: OSError) -> int:
    """Print an error of a file or a stream; return its exit code."""
    silence(sys.stdout)  # what it still holds would be written at the end
    sys.stderr.write(f"{program}: reading or writing failed: {error}\n")
    return IO_ERROR_EXIT_CODE
