"""Independent jobs on the cores that this process may use."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import Any, TypeVar

from bids_shresnet.errors import Interrupted
from bids_shresnet.runtime.progress import forward_worker_logs, progress_bar, send_logs_to
from bids_shresnet.runtime.resources import available_cores, available_memory
from bids_shresnet.runtime.signals import install_signal_handlers, raise_if_interrupted

JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)

GRACE_SECONDS = 5.0  # seconds for a worker to remove what it has half written

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workers:
    """How many processes, how many threads in each, and how many bytes of memory for all of them (0: no limit).

    Without `bars` nothing is shown while they work.
    """

    processes: int
    threads: int
    memory: int = 0
    has_progress_bars: bool = True

    @classmethod
    def from_limits(
        cls, processes: int | None, threads: int | None, memory: int | None = None
    ) -> Workers:
        """Use the limits; by default one process per core, spare cores as threads, and all memory."""
        cores = available_cores()
        count = processes or cores
        return cls(count, threads or max(1, cores // count), memory or available_memory())

    def max_parallel_jobs(self, jobs: int, memory_per_job: int) -> int:
        """How many of so many jobs fit at a time, if one needs so many bytes; one always does."""
        fitting = self.memory // memory_per_job if self.memory and memory_per_job else jobs
        if not fitting:
            logger.warning(
                "a job may need %.1f GB of memory, and there are %.1f",
                memory_per_job / 2**30,
                self.memory / 2**30,
            )
        return max(1, min(self.processes, jobs, fitting))

    def run(
        self, function: Callable[[JobT], ResultT], jobs: Sequence[JobT], memory_per_job: int = 0
    ) -> Iterator[tuple[JobT, ResultT]]:
        """Yield each job with its result as it ends. An error of a job is raised here, and jobs not begun are dropped.

        One process means this one: nothing is started, and a debugger works. `need` is an estimate of the memory that
        one job takes, in bytes. A bar named after the function counts the jobs.
        """
        with progress_bar(
            len(jobs), function.__name__.replace("_", " "), "job", is_shown=self.has_progress_bars
        ) as done:
            for result in self._run_jobs(function, jobs, memory_per_job):
                done.update()
                yield result

    def _run_jobs(
        self, function: Callable[[JobT], ResultT], jobs: Sequence[JobT], memory_per_job: int
    ) -> Iterator[tuple[JobT, ResultT]]:
        count = self.max_parallel_jobs(len(jobs), memory_per_job)
        if count == 1:
            yield from ((job, function(job)) for job in jobs)
            return
        context = get_context("spawn")
        with (
            forward_worker_logs() as queue,
            ProcessPoolExecutor(count, context, _set_up_worker, (self.threads, queue)) as pool,
        ):
            futures = {pool.submit(_run_in_worker, function, job): job for job in jobs}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except (Interrupted, GeneratorExit):  # nobody waits for what is not done
                pool.shutdown(wait=False, cancel_futures=True)
                end_workers()
                raise
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _run_in_worker(function: Callable[[JobT], ResultT], job: JobT) -> ResultT:
    raise_if_interrupted()  # a worker that was stopped in one job still has the next one in its queue
    return function(job)


def set_up_process(threads: int) -> None:
    """Limit threads, before numerical libraries are loaded, which read this once; keep libraries' chatter away."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    logging.getLogger("dipy").setLevel(logging.WARNING)
    parent = parent_process()
    if parent is not None:
        install_signal_handlers()
        Thread(target=_exit_with_parent, args=(parent.join,), daemon=True).start()


def end_workers() -> None:
    """Tell all workers to stop, and end those that do not."""
    workers = active_children()
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(GRACE_SECONDS)
        if worker.is_alive():  # in a library that hears no signals, such as ANTs
            worker.kill()


def _set_up_worker(threads: int, queue: Any) -> None:
    """Begin a worker process, whose messages go to its parent."""
    send_logs_to(queue)
    set_up_process(threads)


def _exit_with_parent(wait: Callable[[], None]) -> None:
    """End this worker when its parent is gone: a killed run must not go on for minutes unseen."""
    wait()
    os._exit(1)
