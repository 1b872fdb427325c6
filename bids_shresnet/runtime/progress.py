"""Progress on the screen: bars on a terminal, log lines above them, and the logs of workers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler, QueueListener
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any

LOGGER = logging.getLogger("bids_shresnet")
STOP_SECONDS = 5.0  # to wait for the last records of workers


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


class ScreenHandler(logging.StreamHandler[Any]):
    """Log lines on stderr, above the progress bars.

    `tqdm.contrib.logging` does not keep the level of the handler it replaces, and adds one where
    there was none.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        from tqdm import tqdm

        tqdm.write(self.format(record), file=self.stream)


class _LoggerHandler(logging.Handler):
    """Handle records as if they had been logged in this process."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record here."""
        logging.getLogger(record.name).handle(record)


@contextmanager
def forward_worker_logs() -> Iterator[Any]:
    """Yield a queue for `send_logs_to`; while the body runs, log here what workers put into it."""
    queue = get_context("spawn").Queue()
    listener = QueueListener(queue, _LoggerHandler())
    listener.start()
    try:
        yield queue
    finally:
        _stop(listener)
        queue.close()
        queue.cancel_join_thread()


def _stop(listener: QueueListener) -> None:
    """Stop listening, even if a worker was killed in the middle of a record that now never ends."""
    stopping = Thread(target=listener.stop, daemon=True)
    stopping.start()
    stopping.join(STOP_SECONDS)


def send_logs_to(queue: Any) -> None:
    """Send all log records of the app in this worker process to its parent."""
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.addHandler(QueueHandler(queue))
    LOGGER.propagate = False
