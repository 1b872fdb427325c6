from __future__ import annotations

import io
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.runtime import logs
from bids_shresnet.runtime.logs import (
    GuardedStream,
    forward_worker_logs,
    guard_stderr,
    log_to_screen,
)
from bids_shresnet.runtime.workers import Workers

LOGGER = logging.getLogger("bids_shresnet.training.anything")


def log_job(job: int) -> None:
    LOGGER.info("job %d", job)
    LOGGER.debug("details of job %d", job)


def die_while_logging(queue: Any) -> None:
    """Be killed while holding the lock for writing into the queue."""
    queue._wlock.acquire()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("verbose", "expected"), [(0, ["info"]), (1, ["info"]), (2, ["debug", "info"])]
)
def test_the_log_is_on_the_screen_while_the_body_runs(
    verbose: int, expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with log_to_screen(verbose):
        LOGGER.debug("debug")
        LOGGER.info("info")
    LOGGER.info("after")
    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == expected


@pytest.mark.parametrize("processes", [1, 2])
def test_all_that_workers_log_is_logged_in_their_parent(
    processes: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "bids_shresnet"):
        list(Workers(processes, 1).run(log_job, [1, 2]))
    messages = [record.getMessage() for record in caplog.records if record.name == LOGGER.name]
    assert sorted(messages) == ["details of job 1", "details of job 2", "job 1", "job 2"]


def test_a_worker_killed_in_the_middle_of_a_message_does_not_keep_its_parent_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "STOP_SECONDS", 0.2)
    with forward_worker_logs() as queue:
        context = multiprocessing.get_context("spawn")
        worker = context.Process(target=die_while_logging, args=(queue,))
        worker.start()
        worker.join()
        killed = time.monotonic()
    assert worker.exitcode == -signal.SIGKILL
    assert time.monotonic() - killed < 2


MESSAGES = """
import logging, sys, warnings
from bids_shresnet.runtime.logs import log_to_screen
from bids_shresnet.runtime.progress import progress_bar
from bids_shresnet.runtime.logs import guard_stderr

with guard_stderr(), log_to_screen(0):
    with progress_bar(3, "work", "job") as progress:
        for _ in range(3):
            logging.getLogger("bids_shresnet").info("a message")
            warnings.warn("a warning")
            progress.update()
    open(sys.argv[1], "w").write("done")
"""


@pytest.mark.parametrize("screen", ["pipe", "/dev/full"])
def test_a_run_goes_on_without_a_screen(screen: str, tmp_path: Path) -> None:
    """Nobody reads the pipe any more; the disk of the other file is full."""
    if screen == "pipe":
        reading, writing = os.pipe()
        os.close(reading)
    else:
        writing = os.open(screen, os.O_WRONLY)
    out = tmp_path / "out"
    command = [sys.executable, "-c", MESSAGES, str(out)]
    ended = subprocess.run(command, stderr=writing, check=False, timeout=60)
    os.close(writing)
    assert ended.returncode == 0
    assert out.read_text() == "done"


def test_a_working_screen_shows_everything(capsys: pytest.CaptureFixture[str]) -> None:
    with guard_stderr():
        sys.stderr.write("one\n")
    sys.stderr.write("two\n")
    assert capsys.readouterr().err == "one\ntwo\n"


def test_a_closed_stream_is_silent() -> None:
    stream = io.StringIO()
    stream.close()
    guarded = GuardedStream(stream)
    assert guarded.write("text") == 4
    guarded.flush()
