from __future__ import annotations

import io
import logging
import multiprocessing
import os
import signal
import sys
import time
from typing import Any

import pytest

from bids_shresnet.cli.parser import log_to_screen
from bids_shresnet.runtime import progress
from bids_shresnet.runtime.progress import forward_worker_logs
from bids_shresnet.runtime.workers import Workers

LOGGER = logging.getLogger("bids_shresnet.training.anything")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def replace_stderr(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> io.StringIO:
    """Write stderr to a stream; no fixture, because pytest sets its own stderr before a test."""
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def log_and_double(job: int) -> int:
    LOGGER.info("doubling %d", job)
    LOGGER.debug("in detail")
    return 2 * job


def die_while_logging(queue: Any) -> None:
    """Be killed while holding the lock for writing into the queue."""
    queue._wlock.acquire()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_bar_on_a_terminal_counts_the_jobs_and_does_not_break_lines(
    processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = replace_stderr(monkeypatch, Terminal())
    with log_to_screen(0):
        assert dict(Workers(processes, 1).run(log_and_double, [1, 2])) == {1: 2, 2: 4}
    shown = terminal.getvalue()
    assert "log and double" in shown
    assert "2/2" in shown
    assert "in detail" not in shown  # below the level of the screen
    lines = [line.strip() for line in shown.replace("\r", "\n").splitlines()]
    messages = [line.partition(" ")[2] for line in lines if "doubling" in line]
    assert sorted(messages) == ["doubling 1", "doubling 2"]


@pytest.mark.parametrize("processes", [1, 2])
def test_no_bar_is_shown_without_a_terminal(
    processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = replace_stderr(monkeypatch, io.StringIO())
    list(Workers(processes, 1).run(log_and_double, [1, 2]))
    assert stream.getvalue() == ""


def test_no_bar_is_shown_if_bars_are_off(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = replace_stderr(monkeypatch, Terminal())
    list(Workers(1, 1, has_progress_bars=False).run(log_and_double, [1, 2]))
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("processes", [1, 2])
def test_all_that_workers_log_is_logged_in_their_parent(
    processes: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "bids_shresnet"):
        list(Workers(processes, 1).run(log_and_double, [1, 2]))
    messages = [record.getMessage() for record in caplog.records if record.name == LOGGER.name]
    assert sorted(messages) == ["doubling 1", "doubling 2", "in detail", "in detail"]


def test_a_worker_killed_in_the_middle_of_a_message_does_not_keep_its_parent_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "STOP_SECONDS", 0.2)
    with forward_worker_logs() as queue:
        context = multiprocessing.get_context("spawn")
        worker = context.Process(target=die_while_logging, args=(queue,))
        worker.start()
        worker.join()
        killed = time.monotonic()
    assert worker.exitcode == -signal.SIGKILL
    assert time.monotonic() - killed < 2
