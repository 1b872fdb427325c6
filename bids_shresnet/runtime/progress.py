"""What a run says while it works: bars where somebody looks, lines that do not break them, and what workers say."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler
from multiprocessing import get_context, parent_process
from queue import Empty
from threading import Event, Thread
from typing import Any

LOGGER = logging.getLogger("bids_shresnet")
POLL_SECONDS = 0.1  # seconds between two looks at whether all workers have ended
JOIN_SECONDS = 5.0  # seconds; a worker that was killed in the middle of a message never ends it


def progress_bar(total: int, title: str, unit: str, *, is_shown: bool = True) -> Any:
    """A progress bar; silent where nobody looks: in a worker process, or if stderr is no terminal."""
    from tqdm import tqdm  # a third of a second, which --help must not take

    silent = (
        None if is_shown and parent_process() is None else True
    )  # None: tqdm asks whether there is a terminal
    return tqdm(total=total, desc=title, unit=unit, leave=False, mininterval=0, disable=silent)


class ScreenHandler(logging.StreamHandler[Any]):
    """Lines on stderr, above the bars."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        from tqdm import tqdm

        tqdm.write(self.format(record), file=self.stream)


@contextmanager
def forward_worker_logs() -> Iterator[Any]:
    """A queue for `send_logs_to`, and while the body runs all that comes in is logged in this process."""
    queue, ended = get_context("spawn").Queue(), Event()
    listener = Thread(target=_handle_records, args=(queue, ended), daemon=True)
    listener.start()
    try:
        yield queue
    finally:
        ended.set()
        listener.join(JOIN_SECONDS)
        queue.close()


def _handle_records(queue: Any, ended: Event) -> None:
    """Log what workers say until they have ended and nothing is left."""
    while True:
        try:
            record = queue.get(timeout=POLL_SECONDS)
        except Empty:
            if ended.is_set():
                return
        else:
            logging.getLogger(record.name).handle(record)


def send_logs_to(queue: Any) -> None:
    """Send all that the app says in this worker process to its parent."""
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.addHandler(QueueHandler(queue))
    LOGGER.propagate = False
