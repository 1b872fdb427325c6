"""The folders that a run may write to: its output and its work folder.

Names of outputs are made from file names, labels and models that somebody else wrote. Whatever they
hold, nothing is written outside these folders.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bids_shresnet.errors import OutputError

FOLDERS_VARIABLE = "BIDS_SHRESNET_WRITABLE"  # worker processes inherit it; without it, no limits


@contextmanager
def restrict_writing(folders: Iterable[Path]) -> Iterator[None]:
    """Allow this process and its workers to write to these folders only, in the body."""
    previous = os.environ.get(FOLDERS_VARIABLE)
    os.environ[FOLDERS_VARIABLE] = json.dumps([str(folder.absolute()) for folder in folders])
    try:
        yield
    finally:
        if previous is None:
            del os.environ[FOLDERS_VARIABLE]
        else:
            os.environ[FOLDERS_VARIABLE] = previous


def check_may_write(path: Path) -> None:
    """Check that a path lies in one of the folders; a name of a parent (`..`) is refused.

    Raises
    ------
    OutputError
        If it does not.
    """
    allowed = os.environ.get(FOLDERS_VARIABLE)
    if allowed is None:
        return
    absolute = path.absolute()
    for folder in json.loads(allowed):
        if absolute.is_relative_to(folder) and ".." not in absolute.relative_to(folder).parts:
            return
    folders = " and ".join(dict.fromkeys(json.loads(allowed)))
    msg = f"refused to write {path}: it does not lie in {folders}"
    raise OutputError(msg)
