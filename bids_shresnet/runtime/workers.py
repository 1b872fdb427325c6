"""Independent jobs on the cores that this process may use."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import Any, TypeVar

from bids_shresnet.errors import Interrupted, ShresnetError
from bids_shresnet.runtime.logs import forward_worker_logs, send_logs_to
from bids_shresnet.runtime.progress import log_time_left, progress_bar
from bids_shresnet.runtime.resources import available_cores, available_memory
from bids_shresnet.runtime.signals import (
    GRACE_SECONDS,
    install_signal_handlers,
    raise_if_interrupted,
)

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
KILLED_MESSAGE = "a worker process was killed, most likely because memory ran out"
GB = 2**30

logger = logging.getLogger(__name__)


class KeptPool:
    """A pool that is started when it is used first, and stays until it is closed.

    Parameters
    ----------
    processes, threads
        The largest number of processes, and the threads of each.
    """

    def __init__(self, processes: int, threads: int) -> None:
        self._limits = (processes, threads)
        self._resources = ExitStack()
        self._pool: ProcessPoolExecutor | None = None

    @contextmanager
    def use(self) -> Iterator[ProcessPoolExecutor]:
        """Yield the pool. If the body fails, its processes end; the next use starts others."""
        with self._resources.pop_all() as resources:
            pool = self._pool or resources.enter_context(_start_pool(*self._limits))
            self._pool = None
            yield pool
            self._pool = pool
            self._resources = resources.pop_all()

    def close(self) -> None:
        """End the processes, if there are some."""
        self._pool = None
        self._resources.close()


@dataclass(frozen=True)
class Workers:
    """Processes that run independent jobs.

    Attributes
    ----------
    processes, threads
        Number of processes, and of threads in each.
    memory
        Bytes for all processes together; 0 means no limit.
    has_progress_bars
        Whether a terminal shows how many jobs are done.
    kept_pool
        Processes that stay from one `run` to the next, see `keep_processes`.
    """

    processes: int
    threads: int
    memory: int = 0
    has_progress_bars: bool = True
    kept_pool: KeptPool | None = None

    @classmethod
    def from_limits(
        cls, processes: int | None, threads: int | None, memory: int | None = None
    ) -> Workers:
        """Use the limits; by default one process per core, spare cores as threads, all memory."""
        cores = available_cores()
        count = processes or cores
        return cls(count, threads or max(1, cores // count), memory or available_memory())

    @contextmanager
    def keep_processes(self) -> Iterator[Workers]:
        """Yield workers whose processes stay from one `run` to the next, until the body ends.

        So each loads its libraries once. Where memory limits a `run`, they end before it: what a
        process has used stays with it.
        """
        kept_pool = KeptPool(self.processes, self.threads)
        try:
            yield replace(self, kept_pool=kept_pool)
        finally:
            kept_pool.close()

    def max_parallel_jobs(self, jobs: int, memory_per_job: int) -> int:
        """Return how many of the jobs fit into memory (bytes) at a time; at least one."""
        has_limit = self.memory and memory_per_job
        fitting = self.memory // memory_per_job if has_limit else jobs
        if not fitting:
            logger.warning(
                "a job may need %.1f GB of memory, and there are %.1f",
                memory_per_job / GB,
                self.memory / GB,
            )
        return max(1, min(self.processes, jobs, fitting))

    def run(
        self,
        function: Callable[[JobT], ResultT],
        jobs: Sequence[JobT],
        memory_per_job: int = 0,
        on_killed: Callable[[JobT], ResultT] | None = None,
    ) -> Iterator[tuple[JobT, ResultT]]:
        """Yield each job with its result as soon as it ends.

        An error in a job is raised here, and jobs that have not begun are dropped. A single process
        is this one: none is started, and a debugger works.

        Parameters
        ----------
        function, jobs
            The function is called with each job. The progress bar has its name.
        memory_per_job
            An estimate in bytes; 0 if it does not matter.
        on_killed
            Makes the result of a job whose process is killed each time; by default it is an error.

        Raises
        ------
        ShresnetError
            If the process of a job is killed each time, and there is no `on_killed`.
        """
        title = function.__name__.replace("_", " ")
        is_shown = self.has_progress_bars
        with (
            progress_bar(len(jobs), title, "job", is_shown=is_shown) as progress,
            log_time_left(title, len(jobs)) as count_job,
        ):
            for result in self._run_jobs(function, jobs, memory_per_job, on_killed):
                progress.update()
                count_job()
                yield result

    def _run_jobs(
        self,
        function: Callable[[JobT], ResultT],
        jobs: Sequence[JobT],
        memory_per_job: int,
        on_killed: Callable[[JobT], ResultT] | None,
    ) -> Iterator[tuple[JobT, ResultT]]:
        count = self.max_parallel_jobs(len(jobs), memory_per_job)
        if self.kept_pool is not None and self._is_short_of_memory(count, len(jobs)):
            self.kept_pool.close()
        if count == 1:
            return ((job, function(job)) for job in jobs)
        return self._run_in_pools(function, jobs, count, on_killed)

    def _run_in_pools(
        self,
        function: Callable[[JobT], ResultT],
        jobs: Sequence[JobT],
        count: int,
        on_killed: Callable[[JobT], ResultT] | None,
    ) -> Iterator[tuple[JobT, ResultT]]:
        """Run jobs in processes; if one is killed, start fewer of them.

        Nothing tells which job it had, until there is a single process: it has the first one.
        """
        waiting = dict(enumerate(jobs))
        while waiting:
            try:
                for number, result in self._run_in_pool(function, waiting, count):
                    yield waiting.pop(number), result
            except BrokenProcessPool as error:
                if count > 1:
                    count //= 2
                    logger.warning("%s; going on with %d at a time", KILLED_MESSAGE, count)
                    continue
                job = waiting.pop(min(waiting))
                if on_killed is None:
                    msg = f"{KILLED_MESSAGE}, in {function.__name__.replace('_', ' ')} of {job}"
                    raise ShresnetError(msg) from error
                yield job, on_killed(job)

    def _run_in_pool(
        self, function: Callable[[JobT], ResultT], jobs: Mapping[int, JobT], count: int
    ) -> Iterator[tuple[int, ResultT]]:
        """Yield the results of all jobs by number, and then raise if a process was killed."""
        killed: BrokenProcessPool | None = None
        with self._choose_pool(count, len(jobs)) as pool:
            futures = {
                pool.submit(_run_in_worker, function, job): number for number, job in jobs.items()
            }
            for future in as_completed(futures):
                if isinstance(future.exception(), BrokenProcessPool):
                    killed = BrokenProcessPool(str(future.exception()))
                else:
                    yield futures[future], future.result()
            if killed is not None:
                raise killed

    def _choose_pool(self, count: int, jobs: int) -> AbstractContextManager[ProcessPoolExecutor]:
        if self.kept_pool is None or self._is_short_of_memory(count, jobs):
            return _start_pool(count, self.threads)
        return self.kept_pool.use()

    def _is_short_of_memory(self, count: int, jobs: int) -> bool:
        return count < min(self.processes, jobs)


@contextmanager
def _start_pool(processes: int, threads: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool, and end its processes: at once if nobody waits for the jobs under way."""
    with (
        forward_worker_logs() as queue,
        ProcessPoolExecutor(
            processes,
            mp_context=get_context("spawn"),
            initializer=_set_up_worker,
            initargs=(threads, queue),
        ) as pool,
    ):
        try:
            yield pool
        except (Interrupted, GeneratorExit):
            pool.shutdown(wait=False, cancel_futures=True)
            _end_workers()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _run_in_worker(function: Callable[[JobT], ResultT], job: JobT) -> ResultT:
    raise_if_interrupted()  # a worker that was stopped in one job still has the next in its queue
    return function(job)


def set_up_process(threads: int) -> None:
    """Limit threads and hide messages of libraries.

    Call this before numerical libraries are loaded, which read the limits only once.
    """
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    logging.getLogger("dipy").setLevel(logging.WARNING)
    parent = parent_process()
    if parent is not None:
        install_signal_handlers()
        Thread(target=_exit_with_parent, args=(parent.join,), daemon=True).start()


def _set_up_worker(threads: int, queue: Any) -> None:
    send_logs_to(queue)
    set_up_process(threads)


def _end_workers() -> None:
    """Ask all workers to stop, and kill those that do not within the grace of all."""
    workers = active_children()
    for worker in workers:
        worker.terminate()
    end = time.monotonic() + GRACE_SECONDS
    for worker in workers:
        worker.join(max(0.0, end - time.monotonic()))
        if worker.is_alive():  # in a library that ignores signals, such as ANTs
            worker.kill()


def _exit_with_parent(wait: Callable[[], None]) -> None:
    """End this worker with its parent: a killed run must not go on for minutes unseen."""
    wait()
    os._exit(1)
