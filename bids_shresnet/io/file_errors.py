"""What is said about an input file that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from bids_shresnet.errors import BadInput, Finding, InputMissing


def require_file(path: Path) -> None:
    """Make sure that a file is there.

    Raises
    ------
    InputMissing
        If it does not exist, or is a link to content that was not fetched.
    """
    if path.is_symlink() and not path.exists():
        msg = f"{path} is a link to content that is not here; fetch it with `datalad get` or `git annex get`"
        raise InputMissing(msg)
    if not path.is_file():
        msg = f"{path} does not exist or is no file; check the dataset for an incomplete copy"
        raise InputMissing(msg)


def raise_bad_input(path: Path, value: str, remedy: str) -> NoReturn:
    """Say what is wrong with a file's content.

    Raises
    ------
    BadInput
        Always.
    """
    raise BadInput([Finding("error", str(path), value, remedy)])
