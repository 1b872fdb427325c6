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
from bids_shresnet.runtime.progress import bar, heard, speak_to
from bids_shresnet.runtime.resources import available_cores, available_memory
from bids_shresnet.runtime.signals import stop_if_told, stop_when_told
from bids_shresnet.runtime.torchrun import Place

Job = TypeVar("Job")
Result = TypeVar("Result")

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")

GRACE = 5.0  # seconds for a worker to remove what it has half written

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workers:
    """How many processes, how many threads in each, and how many bytes of memory for all of them (0: no limit).

    Without `bars` nothing is shown while they work.
    """

    processes: int
    threads: int
    memory: int = 0
    bars: bool = True

    @classmethod
    def of(cls, processes: int | None, threads: int | None, memory: int | None = None) -> Workers:
        """As asked for; else one process a core, the cores that are left over as threads, and all memory.

        Of processes that share one training each is one of many already.
        """
        place = Place.here()
        cores = max(1, available_cores() // place.beside)
        count = 1 if place.shared else processes or cores
        return cls(count, threads or max(1, cores // count), memory or available_memory())

    def at_once(self, jobs: int, need: int) -> int:
        """How many of so many jobs fit at a time, if one needs so many bytes; one always does."""
        fitting = self.memory // need if self.memory and need else jobs
        if not fitting:
            logger.warning("a job may need %.1f GB of memory, and there are %.1f", need / 2**30, self.memory / 2**30)
        return max(1, min(self.processes, jobs, fitting))

    def run(
        self, function: Callable[[Job], Result], jobs: Sequence[Job], need: int = 0
    ) -> Iterator[tuple[Job, Result]]:
        """Yield each job with its result as it ends. An error of a job is raised here, and jobs not begun are dropped.

        One process means this one: nothing is started, and a debugger works. `need` is an estimate of the memory that
        one job takes, in bytes. A bar named after the function counts the jobs.
        """
        with bar(len(jobs), function.__name__.replace("_", " "), "job", wanted=self.bars) as done:
            for result in self._results(function, jobs, need):
                done.update()
                yield result

    def _results(
        self, function: Callable[[Job], Result], jobs: Sequence[Job], need: int
    ) -> Iterator[tuple[Job, Result]]:
        count = self.at_once(len(jobs), need)
        if count == 1:
            yield from ((job, function(job)) for job in jobs)
            return
        context = get_context("spawn")
        with heard() as queue, ProcessPoolExecutor(count, context, _set_up_worker, (self.threads, queue)) as pool:
            futures = {pool.submit(_in_worker, function, job): job for job in jobs}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except (Interrupted, GeneratorExit):  # nobody waits for what is not done
                pool.shutdown(wait=False, cancel_futures=True)
                end_workers()
                raise
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _in_worker(function: Callable[[Job], Result], job: Job) -> Result:
    stop_if_told()  # a worker that was stopped in one job still has the next one in its queue
    return function(job)


def set_up_process(threads: int) -> None:
    """Limit threads, before numerical libraries are loaded, which read this once; keep libraries' chatter away."""
    for name in THREADS:
        os.environ[name] = str(threads)
    logging.getLogger("dipy").setLevel(logging.WARNING)
    parent = parent_process()
    if parent is not None:
        stop_when_told()
        Thread(target=_end_with, args=(parent.join,), daemon=True).start()


def end_workers() -> None:
    """Tell all workers to stop, and end those that do not."""
    workers = active_children()
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(GRACE)
        if worker.is_alive():  # in a library that hears no signals, such as ANTs
            worker.kill()


def _set_up_worker(threads: int, queue: Any) -> None:
    """Begin a worker process, whose messages go to its parent."""
    speak_to(queue)
    set_up_process(threads)


def _end_with(wait: Callable[[], None]) -> None:
    """End this worker when its parent is gone: a killed run must not go on for minutes unseen."""
    wait()
    os._exit(1)
