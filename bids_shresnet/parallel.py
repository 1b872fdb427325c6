"""Independent jobs on the cores that this process may use."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "quota period", or "max period"; how a container is given half a machine


def available_cores() -> int:
    """Cores of this process: its affinity, cut by the quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if CPU_QUOTA.exists():
        quota, period = CPU_QUOTA.read_text().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    return cores


@dataclass(frozen=True)
class Workers:
    """How many processes, and how many threads in each."""

    processes: int
    threads: int

    @classmethod
    def of(cls, processes: int | None, threads: int | None) -> Workers:
        """As asked for; else one process a core, and the cores that are left over as threads."""
        cores = available_cores()
        count = processes or cores
        return cls(count, threads or max(1, cores // count))

    def run(self, function: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[tuple[Job, Result]]:
        """Yield each job with its result as it ends. An error of a job is raised here, and jobs not begun are dropped.

        One process means this one: nothing is started, and a debugger works.
        """
        if min(self.processes, len(jobs)) <= 1:
            yield from ((job, function(job)) for job in jobs)
            return
        with ProcessPoolExecutor(
            min(self.processes, len(jobs)), get_context("spawn"), set_up_process, (self.threads,)
        ) as pool:
            futures = {pool.submit(function, job): job for job in jobs}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def set_up_process(threads: int) -> None:
    """Limit threads, before numerical libraries are loaded, which read this once; keep libraries' chatter away."""
    for name in THREADS:
        os.environ[name] = str(threads)
    logging.getLogger("dipy").setLevel(logging.WARNING)
    parent = parent_process()
    if parent is not None:
        Thread(target=_end_with, args=(parent.join,), daemon=True).start()


def _end_with(wait: Callable[[], None]) -> None:
    """End this worker when its parent is gone: a killed run must not go on for minutes unseen."""
    wait()
    os._exit(1)
