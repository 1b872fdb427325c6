"""Being told to stop: SIGTERM by schedulers and `docker stop`, SIGUSR1 ahead of a time limit if a job asks for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bids_shresnet.errors import Interrupted

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


@contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """Raise `Interrupted` in the body, wherever it is, when a signal says to stop."""
    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers
        yield
        return
    before = [signal.signal(one, _raise_interrupted) for one in STOP_SIGNALS]
    try:
        yield
    finally:
        for one, handler in zip(STOP_SIGNALS, before, strict=True):
            signal.signal(one, handler)


def install_signal_handlers() -> None:
    """The same for the rest of this process."""
    for one in STOP_SIGNALS:
        signal.signal(one, _raise_interrupted)


def raise_if_interrupted() -> None:
    """Begin nothing else once a signal has said so."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        _raise_interrupted(signal.SIGTERM, None)


def _raise_interrupted(number: int, _: FrameType | None) -> None:
    for one in STOP_SIGNALS:  # what is half written is now removed, and once is enough
        signal.signal(one, signal.SIG_IGN)
    raise Interrupted(signal.Signals(number).name)
