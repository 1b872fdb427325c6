"""Progress bars on a terminal, and lines with the time left in every log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from threading import Event, Thread
from typing import Any

from bids_shresnet.runtime.logs import APP_LOGGER

LINE_SECONDS = 15.0  # between two lines about the jobs
MAX_FRACTION = 0.95  # of a job that has not ended

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


class StepHandler(logging.Handler):
    """Know how far the jobs under way are, from records that have a `fraction` of their job.

    A worker process has one job at a time, and its records come to this process.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.fractions: dict[int | None, float] = {}
        self.last_message = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Note how far a job is, and what it did last."""
        fraction = getattr(record, "fraction", None)
        if fraction is not None:
            self.fractions[record.process] = min(fraction, MAX_FRACTION)
            self.last_message = record.getMessage()

    def forget_ended_job(self) -> None:
        """Forget the job that was the farthest: it most likely is the one that ended."""
        if self.fractions:
            del self.fractions[max(self.fractions, key=self.fractions.__getitem__)]


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
    steps = StepHandler()

    def log_lines() -> None:
        while not has_ended.wait(seconds):
            begun = sum(steps.fractions.copy().values(), 0.0)
            text = describe_time_left(len(done), total, time.monotonic() - start, begun=begun)
            last = f" ({steps.last_message})" if steps.last_message else ""
            logger.info("%s: %s%s", title, text, last)

    def count_job() -> None:
        done.append(time.monotonic())
        steps.forget_ended_job()

    thread = Thread(target=log_lines, daemon=True)
    APP_LOGGER.addHandler(steps)
    thread.start()
    try:
        yield count_job
    finally:
        has_ended.set()
        thread.join()
        APP_LOGGER.removeHandler(steps)


def describe_time_left(done: int, total: int, seconds: float, *, begun: float = 0.0) -> str:
    """Say how many jobs were done in some seconds, and how long the others take at that pace.

    Before the first job ends, the pace comes from those that have begun, if they say how far they
    are.

    Parameters
    ----------
    begun
        What is done of the jobs under way, in jobs.
    """
    counted = f"{done} of {total} done after {format_time(seconds)}"
    share = min(done + begun, total)
    if not share:
        return counted
    return f"{counted}, about {format_time(seconds / share * (total - share))} left"


def format_time(seconds: float) -> str:
    """Format a duration in seconds, or in minutes if it is long."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
