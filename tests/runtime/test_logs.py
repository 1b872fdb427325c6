from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from typing import Any

import pytest

from bids_shresnet.runtime import logs
from bids_shresnet.runtime.logs import forward_worker_logs, log_to_screen
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
