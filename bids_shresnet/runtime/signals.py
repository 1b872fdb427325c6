"""Being told to stop: SIGTERM by schedulers and `docker stop`, SIGUSR1 ahead of a time limit if a job asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bids_shresnet.errors import Interrupted

STOP = (signal.SIGTERM, signal.SIGUSR1)


@contextmanager
def stopping_when_told() -> Iterator[None]:
    """Raise `Interrupted` in the body, wherever it is, when a signal says to stop."""
    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers
        yield
        return
    before = [signal.signal(one, _stop) for one in STOP]
    try:
        yield
    finally:
        for one, handler in zip(STOP, before, strict=True):
            signal.signal(one, handler)


def stop_when_told() -> None:
    """The same for the rest of this process."""
    for one in STOP:
        signal.signal(one, _stop)


def stop_if_told() -> None:
    """Begin nothing else once a signal has said so."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        _stop(signal.SIGTERM, None)


def _stop(number: int, _: FrameType | None) -> None:
    for one in STOP:  # what is half written is now removed, and once is enough
        signal.signal(one, signal.SIG_IGN)
    raise Interrupted(signal.Signals(number).name)
