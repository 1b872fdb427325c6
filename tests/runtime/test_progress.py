from __future__ import annotations

import io
import logging
import sys

import pytest

from bids_shresnet.cli.parser import log_to_screen
from bids_shresnet.runtime.workers import Workers

LOGGER = logging.getLogger("bids_shresnet.training.anything")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def watched(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> io.StringIO:
    """What is written to stderr from now on; not a fixture, for pytest puts its own stderr there before a test."""
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def say_and_double(job: int) -> int:
    LOGGER.info("doubling %d", job)
    LOGGER.debug("in detail")
    return 2 * job


@pytest.mark.parametrize("processes", [1, 2])
def test_a_bar_on_a_terminal_counts_the_jobs_and_does_not_break_lines(
    processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = watched(monkeypatch, Terminal())
    with log_to_screen(0):
        assert dict(Workers(processes, 1).run(say_and_double, [1, 2])) == {1: 2, 2: 4}
    shown = terminal.getvalue()
    assert "say and double" in shown
    assert "2/2" in shown
    lines = [part.strip() for part in shown.replace("\r", "\n").splitlines()]
    assert sorted(line.split(" ", 1)[1] for line in lines if "doubling" in line) == [
        "doubling 1",
        "doubling 2",
    ]


@pytest.mark.parametrize("processes", [1, 2])
def test_no_bar_is_shown_where_there_is_no_terminal(
    processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = watched(monkeypatch, io.StringIO())
    list(Workers(processes, 1).run(say_and_double, [1, 2]))
    assert stream.getvalue() == ""


def test_no_bar_is_shown_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watched(monkeypatch, Terminal())
    list(Workers(1, 1, has_progress_bars=False).run(say_and_double, [1, 2]))
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("processes", [1, 2])
def test_what_workers_say_is_heard_here(processes: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "bids_shresnet"):
        list(Workers(processes, 1).run(say_and_double, [1, 2]))
    heard = [record.getMessage() for record in caplog.records if record.name == LOGGER.name]
    assert sorted(heard) == ["doubling 1", "doubling 2", "in detail", "in detail"]
