"""Log records of the app: on the screen, and from worker processes to their parent.

The screen may go away: a closed terminal or pipe, or a full disk behind stderr. What is shown there
is also in the log of the run, so nothing ends because nobody can read it.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import MemoryHandler, QueueHandler, QueueListener
from multiprocessing import get_context
from threading import Thread
from typing import Any

APP_LOGGER = logging.getLogger("bids_shresnet")
SHORT_FORMAT = "%(asctime)s %(message)s"
LONG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
TIME_FORMAT = "%H:%M:%S"
STOP_SECONDS = 5.0  # to wait for the last records of workers


class ScreenHandler(logging.StreamHandler[Any]):
    """Log lines on stderr, above the progress bars.

    `tqdm.contrib.logging` does not keep the level of the handler it replaces, and adds one where
    there was none.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        from tqdm import tqdm  # a third of a second, which --help must not take

        tqdm.write(self.format(record), file=self.stream)


@contextmanager
def log_to_screen(verbose: int) -> Iterator[None]:
    """Show the app's log messages on the screen while the body runs.

    Verbose once, messages name their module; twice, those for debugging are shown as well. All
    messages are also kept in memory, until `run_log.start_run` moves them to the log of the run.
    """
    screen = ScreenHandler()
    screen.setLevel(logging.DEBUG if verbose > 1 else logging.INFO)
    screen.setFormatter(logging.Formatter(LONG_FORMAT if verbose else SHORT_FORMAT, TIME_FORMAT))
    memory = MemoryHandler(sys.maxsize, flushLevel=sys.maxsize)
    APP_LOGGER.setLevel(logging.DEBUG)
    APP_LOGGER.addHandler(screen)
    APP_LOGGER.addHandler(memory)
    try:
        yield
    finally:
        APP_LOGGER.removeHandler(screen)
        APP_LOGGER.removeHandler(memory)


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
    APP_LOGGER.setLevel(logging.DEBUG)
    APP_LOGGER.addHandler(QueueHandler(queue))
    APP_LOGGER.propagate = False


class GuardedStream:
    """A text stream that becomes silent when it cannot be written to any more."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the stream."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text, or nothing."""
        try:
            self._stream.write(text)
        except (OSError, ValueError):  # ValueError: the stream is closed
            silence(self._stream)
        return len(text)

    def flush(self) -> None:
        """Flush, if it is possible."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            silence(self._stream)


@contextmanager
def guard_stderr() -> Iterator[None]:
    """Let no failure of stderr reach the body."""
    stderr: Any = sys.stderr
    guarded: Any = GuardedStream(stderr)
    sys.stderr = guarded
    try:
        yield
    finally:
        guarded.flush()
        sys.stderr = stderr


def silence(stream: Any) -> None:
    """Connect the file of a stream with nothing, for libraries and for Python's own last flush."""
    try:
        file = stream.fileno()
    except (OSError, ValueError):  # closed, or no file
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, file)
    os.close(nothing)
