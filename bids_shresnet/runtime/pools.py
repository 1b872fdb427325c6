"""Worker processes: started with limits, logged by their parent, ended with it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import Any, TypeVar

from bids_shresnet.errors import Interrupted
from bids_shresnet.runtime.logs import forward_worker_logs, send_logs_to
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
            pool = self._pool or resources.enter_context(start_pool(*self._limits))
            self._pool = None
            yield pool
            self._pool = pool
            self._resources = resources.pop_all()

    def close(self) -> None:
        """End the processes, if there are some."""
        self._pool = None
        self._resources.close()


@contextmanager
def start_pool(processes: int, threads: int) -> Iterator[ProcessPoolExecutor]:
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


def run_in_worker(function: Callable[[JobT], ResultT], job: JobT) -> ResultT:
    """Do a job, unless a signal has stopped this worker in the one before."""
    raise_if_interrupted()
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
