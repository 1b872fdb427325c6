"""Requests to stop: SIGTERM from schedulers, SIGUSR1 ahead of a time limit, SIGINT by Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from types import FrameType
from typing import Any

from bids_shresnet.errors import Interrupted

GRACE_SECONDS = 5.0  # for workers to remove their half-written files
WAKE_SIGNAL = signal.SIGURG  # ignored by default
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)

_received: list[str] = []  # name of the signal that asked to stop, and no other; empty before it


@contextmanager
def interrupt_on_signals(*, is_process_ending: bool = False) -> Iterator[None]:
    """Raise `Interrupted` in the body, wherever it is, when a signal asks to stop.

    Another Ctrl-C after it ends the process at once; the next run removes what it leaves.

    Parameters
    ----------
    is_process_ending
        True if the process ends after the body. Signals are then ignored, because they would end it
        with another exit code. Otherwise the previous handlers are restored.
    """
    if threading.current_thread() is not threading.main_thread():  # Python allows no handlers
        yield
        return
    previous = install_signal_handlers()
    try:
        yield
    except Exception:  # Python wraps what is raised in the making of a class
        raise_if_interrupted()
        raise
    finally:
        for number, handler in zip((*STOP_SIGNALS, WAKE_SIGNAL), previous, strict=True):
            signal.signal(number, signal.SIG_IGN if is_process_ending else handler)
        os.close(signal.set_wakeup_fd(-1))  # which ends the thread


def install_signal_handlers() -> list[Any]:
    """Raise `Interrupted` from now on when a signal asks to stop; return the previous handlers.

    The system may give a signal to any thread, but Python handles it in the main thread, which then
    may sleep on. So another thread wakes it.
    """
    _received.clear()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_wake_main_thread, args=(reading,), daemon=True).start()
    previous = [signal.signal(number, _raise_interrupted) for number in STOP_SIGNALS]
    return [*previous, signal.signal(WAKE_SIGNAL, _do_nothing)]


def _wake_main_thread(pipe: int) -> None:
    """Interrupt the main thread at each signal whose number comes through a pipe."""
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    while number := os.read(pipe, 1):
        if number[0] != WAKE_SIGNAL:
            signal.pthread_kill(main_thread, WAKE_SIGNAL)
    os.close(pipe)


def _do_nothing(_: int, __: FrameType | None) -> None:
    """Handle a signal that may interrupt a system call, and nothing else."""


def raise_if_interrupted() -> None:
    """Raise `Interrupted` again if a signal has asked this process to stop."""
    if _received:
        raise Interrupted(_received[0])


def _raise_interrupted(number: int, _: FrameType | None) -> None:
    for stop_signal in STOP_SIGNALS:  # half-written files are now removed: do not interrupt that
        signal.signal(stop_signal, _do_nothing)
    signal.signal(signal.SIGINT, _exit_at_once)
    if parent_process() is not None:
        _limit_grace()
    _received.append(signal.Signals(number).name)
    raise_if_interrupted()


def _limit_grace() -> None:
    """End this worker soon, even if it then waits for a lock of a worker that was killed."""
    timer = threading.Timer(GRACE_SECONDS, os._exit, [Interrupted.exit_code])
    timer.daemon = True
    timer.start()


def _exit_at_once(_: int, __: FrameType | None) -> None:
    os._exit(Interrupted.exit_code)
