"""Progress bars on a terminal."""

from __future__ import annotations

from multiprocessing import parent_process
from typing import Any


def progress_bar(total: int, title: str, unit: str, *, is_shown: bool = True) -> Any:
    """Return a progress bar. It stays silent in a worker process, and if stderr is no terminal."""
    from tqdm import tqdm  # a third of a second, which --help must not take

    is_silent = not is_shown or parent_process() is not None
    return tqdm(
        total=total,
        desc=title,
        unit=unit,
        leave=False,
        mininterval=0,
        disable=is_silent or None,  # None: tqdm asks whether there is a terminal
    )
