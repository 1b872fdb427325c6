from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import active_children
from pathlib import Path

import pytest

from bids_shresnet.errors import ShresnetError
from bids_shresnet.runtime import workers
from bids_shresnet.runtime.workers import THREAD_VARIABLES, Workers, set_up_process


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    variables = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(variables)


def square(job: int) -> int:
    return job**2


def thread_limits(_: int) -> set[str]:
    return {os.environ[name] for name in THREAD_VARIABLES}


def process_id(_: int) -> int:
    return os.getpid()


def process_ids(workers: Workers, jobs: int = 8, memory_per_job: int = 0) -> set[int]:
    """Return the processes that some jobs ran in."""
    return set(dict(workers.run(process_id, range(jobs), memory_per_job)).values())


def fail_first(job: int) -> int:
    if job == 1:
        msg = f"job {job} cannot be done"
        raise ValueError(msg)
    return job


def end_if_negative(job: int) -> int:
    """End the process as the system does when memory runs out."""
    if job < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return job**2


def test_the_job_of_a_killed_worker_is_named_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    jobs = [1, 2, -3, 4, 5]
    results = list(Workers(4, 1).run(end_if_negative, jobs, on_killed=lambda job: 1000 + job))
    assert sorted(results) == [(-3, 997), (1, 1), (2, 4), (4, 16), (5, 25)]
    assert "memory" in caplog.text


def test_without_a_result_for_it_a_killed_worker_is_an_error_with_the_likely_cause() -> None:
    with pytest.raises(ShresnetError, match="memory ran out, in end if negative of -3"):
        list(Workers(2, 1).run(end_if_negative, [1, -3]))


def test_results_do_not_depend_on_the_number_of_processes() -> None:
    jobs = [3, 1, 2, 5]
    expected = {job: job**2 for job in jobs}
    assert dict(Workers(1, 1).run(square, jobs)) == expected
    assert dict(Workers(2, 1).run(square, jobs)) == expected


def test_every_process_has_its_number_of_threads() -> None:
    assert dict(Workers(2, 3).run(thread_limits, [1, 2])) == {1: {"3"}, 2: {"3"}}


@pytest.mark.parametrize(
    ("processes", "jobs", "memory_per_job"),
    [(1, [1, 2], 0), (4, [1], 0), (4, [1, 2], 90)],
    ids=["one process", "one job", "memory for one"],
)
def test_one_process_is_this_one(processes: int, jobs: list[int], memory_per_job: int) -> None:
    results = dict(Workers(processes, 1, memory=100).run(process_id, jobs, memory_per_job))
    assert results == dict.fromkeys(jobs, os.getpid())


def test_several_processes_are_others() -> None:
    assert os.getpid() not in dict(Workers(2, 1).run(process_id, [1, 2])).values()


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_in_a_job_is_raised_here(processes: int) -> None:
    with pytest.raises(ValueError, match="job 1 cannot be done"):
        list(Workers(processes, 1).run(fail_first, [1, 2, 3]))


@pytest.mark.parametrize("processes", [1, 2])
def test_no_jobs_have_no_results(processes: int) -> None:
    assert list(Workers(processes, 1).run(square, [])) == []


@pytest.mark.parametrize(
    ("limits", "expected"),
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
    limits: tuple[int | None, int | None],
    expected: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "available_cores", lambda: 8)
    resulting = Workers.from_limits(*limits)
    assert (resulting.processes, resulting.threads) == expected


@pytest.mark.parametrize(
    ("jobs", "memory_per_job", "expected"),
    [(10, 0, 4), (2, 0, 2), (10, 25, 4), (10, 40, 2), (10, 100, 1), (10, 1000, 1), (0, 5, 1)],
)
def test_as_many_jobs_run_in_parallel_as_fit_in_memory(
    jobs: int, memory_per_job: int, expected: int
) -> None:
    assert Workers(4, 1, memory=100).max_parallel_jobs(jobs, memory_per_job) == expected


def test_a_job_that_is_larger_than_memory_gives_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    Workers(4, 1, memory=2**30).max_parallel_jobs(2, 2**31)
    assert "may need 2.0 GB of memory, and there are 1.0" in caplog.text


def test_all_available_memory_is_used_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "available_memory", lambda: 123)
    assert (Workers.from_limits(1, 1).memory, Workers.from_limits(1, 1, 45).memory) == (123, 45)


def test_every_numerical_library_gets_the_number_of_threads() -> None:
    set_up_process(7)
    assert {os.environ[name] for name in THREAD_VARIABLES} == {"7"}
    assert "OMP_NUM_THREADS" in THREAD_VARIABLES


def test_kept_processes_do_the_jobs_of_all_runs_and_then_end() -> None:
    with Workers(2, 1).keep_processes() as workers:
        used = process_ids(workers) | process_ids(workers) | process_ids(workers, jobs=2)
        assert len(used) <= 2
        assert used == {worker.pid for worker in active_children()} & used
    assert not active_children()


def test_other_processes_end_with_their_run() -> None:
    assert os.getpid() not in process_ids(Workers(2, 1))
    assert not active_children()


@pytest.mark.parametrize("memory_per_job", [40, 90], ids=["memory for two", "memory for one"])
def test_no_process_is_kept_where_memory_is_short(memory_per_job: int) -> None:
    with Workers(3, 1, memory=100).keep_processes() as workers:
        before = process_ids(workers)
        assert not before & process_ids(workers, memory_per_job=memory_per_job)
        assert not active_children()
        assert not before & process_ids(workers)


def test_after_an_error_and_after_a_kill_other_processes_do_the_next_jobs() -> None:
    with Workers(2, 1).keep_processes() as workers:
        before = process_ids(workers)
        with pytest.raises(ValueError, match="job 1 cannot be done"):
            list(workers.run(fail_first, [1, 2]))
        results = dict(workers.run(end_if_negative, [1, -3, 2], on_killed=lambda job: job))
        assert results == {1: 1, -3: -3, 2: 4}
        assert not before & process_ids(workers)


def test_a_run_that_nobody_reads_to_its_end_ends_its_processes() -> None:
    with Workers(2, 1).keep_processes() as workers:
        results = workers.run(process_id, range(8))
        next(results)
        del results
        assert not active_children()
        assert process_ids(workers)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads the process table of Linux")
def test_workers_end_with_a_parent_that_was_killed() -> None:
    code = """
import time
from bids_shresnet.runtime.workers import Workers
list(Workers(2, 1).run(time.sleep, [300.0, 300.0]))
"""
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        table = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        # two workers and the resource tracker of multiprocessing
        children = wait_for_count(3, lambda: table.read_text().split())
        time.sleep(2)  # let them begin to work
        parent.kill()
    assert not wait_for_count(0, lambda: [pid for pid in children if is_running(pid)])


def wait_for_count(count: int, list_processes: Callable[[], list[str]]) -> list[str]:
    """Return the processes once there are so many, or after 20 s."""
    deadline = time.monotonic() + 20
    while len(processes := list_processes()) != count and time.monotonic() < deadline:
        time.sleep(0.1)
    return processes


def is_running(pid: str) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
