"""Independent jobs on the cores that this process may use."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from bids_shresnet.errors import ShresnetError
from bids_shresnet.runtime.pools import KeptPool, run_in_worker, start_pool
from bids_shresnet.runtime.progress import log_time_left, progress_bar
from bids_shresnet.runtime.resources import available_cores, available_memory

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")

KILLED_MESSAGE = "a worker process was killed, most likely because memory ran out"
GB = 2**30

logger = logging.getLogger(__name__)


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
                pool.submit(run_in_worker, function, job): number for number, job in jobs.items()
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
            return start_pool(count, self.threads)
        return self.kept_pool.use()

    def _is_short_of_memory(self, count: int, jobs: int) -> bool:
        return count < min(self.processes, jobs)
