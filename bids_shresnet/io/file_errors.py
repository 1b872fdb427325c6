"""Errors and findings about input files that cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import NoReturn

from bids_shresnet.errors import BadInput, Finding, InputMissing, ShresnetError

MAX_REASON_LENGTH = 200  # characters of an error of a library
MODEL_REMEDY = "Copy the model folder again, or delete it and train again."
NOT_FETCHED = "a link to content that is not here"
COPY_AGAIN = "Copy or convert it again; an annexed file is fetched with `datalad get`."


@contextmanager
def raise_if_unreadable(
    path: Path,
    problem: str = "cannot be read",
    remedy: str = COPY_AGAIN,
    *,
    should_catch_disk_errors: bool = False,
) -> Iterator[None]:
    """Report any failure of a reader of a file as bad input, whatever its kind.

    Files come from anywhere, and their readers fail in more ways than anybody can list. So this is
    the border: behind it there is no other error of content. Errors of the disk, which have a
    number, are raised as they are, and so are missing files. Checks that list all that is wrong
    before any work catch them as well.

    Raises
    ------
    BadInput
        If it is no regular file (a pipe or device may never end), or reading it fails.
    """
    if path.exists() and not path.is_file():
        raise_bad_input(path, "no regular file", "Replace it by a file, or remove it.")
    try:
        yield
    except ShresnetError:
        raise
    except Exception as error:
        is_of_disk = isinstance(error, OSError) and error.errno is not None
        is_of_disk = is_of_disk or isinstance(error, FileNotFoundError)
        if is_of_disk and not should_catch_disk_errors:
            raise
        reason = shorten(f"{error}" or type(error).__name__, MAX_REASON_LENGTH)
        finding = unreadable_finding(path, f"{problem} ({reason})", remedy)
        raise BadInput([finding]) from error


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


def unreadable_finding(path: Path, value: str, remedy: str = COPY_AGAIN) -> Finding:
    """Describe a file that cannot be read; `value` is used if it is neither a link nor empty."""
    if _is_dangling(path):
        value = NOT_FETCHED
        remedy = "Fetch it with `datalad get` or `git annex get`."
    elif path.exists() and not path.stat().st_size:
        value = "the file is empty"
        remedy = "Copy or convert it again."
    return Finding("error", str(path), value, remedy)


def _is_dangling(path: Path) -> bool:
    return path.is_symlink() and not path.exists()
