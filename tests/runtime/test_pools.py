from __future__ import annotations

import os
from collections.abc import Iterator
from multiprocessing import active_children

import pytest

from bids_shresnet.runtime.pools import THREAD_VARIABLES, set_up_process
from bids_shresnet.runtime.workers import Workers
from tests.runtime.test_workers import end_if_negative, fail_first, process_id


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    variables = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(variables)


def process_ids(workers: Workers, jobs: int = 8, memory_per_job: int = 0) -> set[int]:
    """Return the processes that some jobs ran in."""
    return set(dict(workers.run(process_id, range(jobs), memory_per_job)).values())


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
