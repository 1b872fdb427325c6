from __future__ import annotations

import io
import logging
import sys
import time
from functools import partial

import pytest

from bids_shresnet.runtime import workers
from bids_shresnet.runtime.logs import log_to_screen
from bids_shresnet.runtime.progress import describe_time_left, log_time_left
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


@pytest.mark.parametrize(
    ("done", "seconds", "text"),
    [
        (0, 30.0, "0 of 4 done after 30 s"),
        (1, 30.0, "1 of 4 done after 30 s, about 90 s left"),
        (2, 240.0, "2 of 4 done after 4 min, about 4 min left"),
        (4, 50.0, "4 of 4 done after 50 s, about 0 s left"),
    ],
)
def test_jobs_take_as_long_as_those_that_are_done(done: int, seconds: float, text: str) -> None:
    assert describe_time_left(done, 4, seconds) == text


@pytest.mark.parametrize(
    ("begun", "text"),
    [
        (0.5, "0 of 4 done after 30 s, about 4 min left"),
        (2.0, "0 of 4 done after 30 s, about 30 s left"),
    ],
)
def test_what_is_done_of_a_job_counts_before_it_ends(begun: float, text: str) -> None:
    assert describe_time_left(0, 4, 30.0, begun=begun) == text


@pytest.mark.parametrize("processes", [1, 2])
def test_lines_say_how_far_jobs_in_any_process_are(
    processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = replace_stderr(monkeypatch, io.StringIO())
    monkeypatch.setattr(workers, "log_time_left", partial(log_time_left, seconds=0.1))
    with log_to_screen(0):
        assert len(list(Workers(processes, 1).run(log_half, [1, 2]))) == 2
    (first, *_) = [line for line in stream.getvalue().splitlines() if "half of" in line]
    assert "0 of 2 done after" in first
    assert first.endswith(("left (half of 1)", "left (half of 2)"))


def log_half(job: int) -> int:
    LOGGER.debug("half of %d", job, extra={"fraction": 0.5})
    time.sleep(0.4)
    return job


def test_lines_with_the_time_left_come_at_their_interval_until_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    with log_time_left("train fold", 2, seconds=0.05) as count_job:
        time.sleep(0.08)
        count_job()
        time.sleep(0.1)
    lines = list(caplog.messages)
    assert 2 <= len(lines) <= 4
    assert lines[0].startswith("train fold: 0 of 2 done")
    assert lines[-1].endswith("left")
    time.sleep(0.1)
    assert caplog.messages == lines
