"""Progress bars on a terminal, and lines with the time left in every log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from threading import Event, Thread
from typing import Any

LINE_SECONDS = 15.0  # between two lines while nothing else is logged about the jobs

logger = logging.getLogger(__name__)


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


@contextmanager
def log_time_left(
    title: str, total: int, seconds: float = LINE_SECONDS
) -> Iterator[Callable[[], None]]:
    """Log how many jobs are done and how long the rest will take, again and again.

    Parameters
    ----------
    seconds
        Between two lines.

    Yields
    ------
    A function to call when a job is done.
    """
    start = time.monotonic()
    done: list[float] = []
    has_ended = Event()

    def log_lines() -> None:
        while not has_ended.wait(seconds):
            text = describe_time_left(len(done), total, time.monotonic() - start)
            logger.info("%s: %s", title, text)

    thread = Thread(target=log_lines, daemon=True)
    thread.start()
    try:
        yield lambda: done.append(time.monotonic())
    finally:
        has_ended.set()
        thread.join()


def describe_time_left(done: int, total: int, seconds: float) -> str:
    """Say how many jobs were done in some seconds, and how long the others take at that pace.

    The first job has to end before there is a pace.
    """
    counted = f"{done} of {total} done after {_format_time(seconds)}"
    if not done:
        return counted
    return f"{counted}, about {_format_time(seconds / done * (total - done))} left"


def _format_time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
