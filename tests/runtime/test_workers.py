from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bids_shresnet.runtime import workers as parallel
from bids_shresnet.runtime.workers import THREAD_VARIABLES, Workers, set_up_process


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def square(job: int) -> int:
    return job**2


def threads_seen(job: int) -> set[str]:
    return {os.environ[name] for name in THREAD_VARIABLES}


def process_of(job: int) -> int:
    return os.getpid()


def refuse(job: int) -> int:
    if job == 1:
        msg = f"job {job} cannot be done"
        raise ValueError(msg)
    return job


def test_results_do_not_depend_on_the_number_of_processes() -> None:
    jobs = [3, 1, 2, 5]
    one, two = (dict(Workers(count, 1).run(square, jobs)) for count in (1, 2))
    assert one == two == {job: job**2 for job in jobs}


def test_every_process_has_its_number_of_threads() -> None:
    assert [seen for _, seen in Workers(2, 3).run(threads_seen, [1, 2])] == [{"3"}] * 2


def test_one_process_is_this_one_and_several_are_others() -> None:
    assert {pid for _, pid in Workers(1, 1).run(process_of, [1, 2])} == {os.getpid()}
    assert {pid for _, pid in Workers(4, 1).run(process_of, [1])} == {os.getpid()}
    assert {pid for _, pid in Workers(4, 1, 100).run(process_of, [1, 2], 90)} == {os.getpid()}
    assert os.getpid() not in {pid for _, pid in Workers(2, 1).run(process_of, [1, 2])}


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_in_a_job_is_raised_here(processes: int) -> None:
    with pytest.raises(ValueError, match="job 1 cannot be done"):
        list(Workers(processes, 1).run(refuse, [1, 2, 3]))


@pytest.mark.parametrize("processes", [1, 2])
def test_no_jobs_are_no_work(processes: int) -> None:
    assert list(Workers(processes, 1).run(refuse, [])) == []


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ((None, None), (8, 1)),
        ((2, None), (2, 4)),
        ((3, None), (3, 2)),
        ((16, None), (16, 1)),
        ((None, 3), (8, 3)),
        ((2, 5), (2, 5)),
    ],
)
def test_cores_left_over_by_processes_become_threads(
    asked: tuple[int | None, int | None], expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "available_cores", lambda: 8)
    found = Workers.from_limits(*asked)
    assert (found.processes, found.threads) == expected


@pytest.mark.parametrize(
    ("jobs", "need", "expected"),
    [(10, 0, 4), (2, 0, 2), (10, 25, 4), (10, 40, 2), (10, 100, 1), (10, 1000, 1), (0, 5, 1)],
)
def test_so_many_jobs_run_at_once_as_fit_into_memory(jobs: int, need: int, expected: int) -> None:
    assert Workers(4, 1, memory=100).max_parallel_jobs(jobs, need) == expected


def test_a_job_that_is_larger_than_memory_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    Workers(4, 1, memory=2**30).max_parallel_jobs(2, 2**31)
    assert "may need 2.0 GB of memory, and there are 1.0" in caplog.text


def test_memory_is_what_was_asked_for_or_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "available_memory", lambda: 123)
    assert (Workers.from_limits(1, 1).memory, Workers.from_limits(1, 1, 45).memory) == (123, 45)


def test_every_numerical_library_is_told_the_number_of_threads() -> None:
    set_up_process(7)
    assert {os.environ[name] for name in THREAD_VARIABLES} == {"7"}
    assert "OMP_NUM_THREADS" in THREAD_VARIABLES


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads the process table of Linux")
def test_workers_end_with_a_parent_that_was_killed() -> None:
    code = """
import time
from bids_shresnet.runtime.workers import Workers
list(Workers(2, 1).run(time.sleep, [300.0, 300.0]))
"""
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        children = _until(
            lambda: Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split(), 3
        )
        time.sleep(2)  # let them begin to work
        parent.kill()
    assert not _until(lambda: [pid for pid in children if _runs(pid)], 0)


def _until(look: Callable[[], list[str]], count: int) -> list[str]:
    """What is seen once there are so many (two workers and multiprocessing's resource tracker), or after 20 s."""
    deadline = time.monotonic() + 20
    while len(seen := look()) != count and time.monotonic() < deadline:
        time.sleep(0.1)
    return seen


def _runs(pid: str) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
