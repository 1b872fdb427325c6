"""Requests to stop: SIGTERM from schedulers and `docker stop`, SIGUSR1 ahead of a time limit."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from bids_shresnet.errors import Interrupted

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


@contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """Raise `Interrupted` in the body, wherever it is, when a signal asks to stop."""
    if threading.current_thread() is not threading.main_thread():  # Python allows no handlers
        yield
        return
    previous = install_signal_handlers()
    try:
        yield
    finally:
        for number, handler in zip(STOP_SIGNALS, previous, strict=True):
            signal.signal(number, handler)


def install_signal_handlers() -> list[Any]:
    """Raise `Interrupted` from now on when a signal asks to stop; return the previous handlers."""
    return [signal.signal(number, _raise_interrupted) for number in STOP_SIGNALS]


def raise_if_interrupted() -> None:
    """Raise `Interrupted` again in a worker that starts another job after it."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        _raise_interrupted(signal.SIGTERM, None)


def _raise_interrupted(number: int, _: FrameType | None) -> None:
    for stop_signal in STOP_SIGNALS:  # half-written files are now removed: do not interrupt that
        signal.signal(stop_signal, signal.SIG_IGN)
    raise Interrupted(signal.Signals(number).name)
