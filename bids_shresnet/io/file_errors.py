"""Errors and findings about input files that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from bids_shresnet.errors import BadInput, Finding, InputMissing


def require_file(path: Path) -> None:
    """Check that a file exists.

    Raises
    ------
    InputMissing
        If it does not exist, or is a link to content that was not fetched.
    """
    if _is_dangling(path):
        msg = (
            f"{path} is a link to content that is not here; fetch it with `datalad get` or "
            "`git annex get`"
        )
        raise InputMissing(msg)
    if not path.is_file():
        msg = f"{path} does not exist or is no file; check the dataset for an incomplete copy"
        raise InputMissing(msg)


def raise_bad_input(path: Path, value: str, remedy: str) -> NoReturn:
    """Report unusable content of a file.

    Raises
    ------
    BadInput
        Always.
    """
    raise BadInput([Finding("error", str(path), value, remedy)])


def unreadable_finding(path: Path, value: str) -> Finding:
    """Describe a file that cannot be read; `value` is used if it is neither a link nor empty."""
    remedy = "Copy or convert it again; an annexed file is fetched with `datalad get`."
    if _is_dangling(path):
        value = "a link to content that is not here"
        remedy = f"Fetch it with `datalad get {path}`."
    elif path.exists() and not path.stat().st_size:
        value = "the file is empty"
        remedy = "Copy or convert it again."
    return Finding("error", str(path), value, remedy)


def _is_dangling(path: Path) -> bool:
    return path.is_symlink() and not path.exists()
