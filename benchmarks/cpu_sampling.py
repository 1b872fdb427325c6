"""CPU seconds of the tasks of a program, by sampling its stack.

Every few milliseconds of CPU time, the time since the last sample is counted to the task that the
innermost known function on the stack belongs to. A call into C is seen when it returns, with all of
its time. Unlike a profiler of every call, this costs next to nothing, so that shares are true.
"""

from __future__ import annotations

import signal
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from types import FrameType

SAMPLING_SECONDS = 0.005
OTHER = "other"
IMPORTS = "imports"
IMPORT_FUNCTIONS = {"_find_and_load", "_handle_fromlist"}

# Part of the path of a file, name of a function or nothing for all, and the task
TASKS: Sequence[tuple[str, str, str]] = (
    ("bids_shresnet/io/storage.py", "hash_file", "hashing"),
    ("bids_shresnet/io/images/nifti_writing.py", "", "writing"),
    ("bids_shresnet/io/images/nifti.py", "", "reading"),
    ("bids_shresnet/io/gradients/", "", "reading"),
    ("bids_shresnet/io/safetensors.py", "", "reading"),
    ("bids_shresnet/outputs/images.py", "", "writing"),
    ("bids_shresnet/outputs/", "", "records"),
    ("bids_shresnet/io/", "", "records"),
    ("bids_shresnet/diffusion/spatial/registration.py", "", "registration"),
    ("bids_shresnet/diffusion/spatial/interpolation.py", "", "interpolation"),
    ("bids_shresnet/diffusion/spatial/splatting.py", "", "interpolation"),
    ("bids_shresnet/diffusion/representation.py", "", "SH fit"),
    ("bids_shresnet/diffusion/harmonics.py", "", "SH fit"),
    ("bids_shresnet/diffusion/attenuation.py", "", "SH fit"),
    ("bids_shresnet/diffusion/tensor", "", "tensors"),
    ("bids_shresnet/diffusion/measurement_noise.py", "", "noise draws"),
    ("bids_shresnet/diffusion/novelty.py", "", "novelty"),
    ("bids_shresnet/diffusion/mixture.py", "", "novelty"),
    ("bids_shresnet/diffusion/tissue.py", "", "tissue"),
    ("bids_shresnet/diffusion/", "", "other arrays"),
    ("bids_shresnet/network/", "", "networks"),
    ("bids_shresnet/methods/", "", "networks and methods"),
    ("bids_shresnet/report/pictures/", "", "pictures"),
    ("bids_shresnet/report/figures/", "", "pictures"),
    ("bids_shresnet/report/style.py", "", "pictures"),
    ("bids_shresnet/report/", "", "pages"),
    ("bids_shresnet/evaluation/", "", "evaluation"),
    ("bids_shresnet/training/", "", "matching scans"),
    ("bids_shresnet/harmonization/", "", "applying"),
    ("bids_shresnet/inputs/", "", "finding files"),
    ("bids_shresnet/planning/", "", "finding files"),
)


def profile_call(function: Callable[[], object]) -> dict[str, float]:
    """Call a function and return the CPU seconds of each task, of all threads of this process.

    The function runs in the main thread, and starts no other process.
    """
    seconds: defaultdict[str, float] = defaultdict(float)
    last = time.process_time()

    def count(_signal: int | None, frame: FrameType | None) -> None:
        nonlocal last
        now = time.process_time()
        seconds[name_task(_walk_stack(frame))] += now - last
        last = now

    previous = signal.signal(signal.SIGPROF, count)
    signal.setitimer(signal.ITIMER_PROF, SAMPLING_SECONDS, SAMPLING_SECONDS)
    try:
        function()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)
        count(None, None)
    return dict(seconds)


def name_task(stack: Sequence[tuple[str, str]]) -> str:
    """Name the task of a stack of files and functions, the innermost first."""
    if any(function in IMPORT_FUNCTIONS for _, function in stack):
        return IMPORTS
    for file, function in stack:
        for part, known_function, task in TASKS:
            if part in file and known_function in ("", function):
                return task
    return OTHER


def _walk_stack(frame: FrameType | None) -> list[tuple[str, str]]:
    stack = []
    while frame is not None:
        stack.append((frame.f_code.co_filename, frame.f_code.co_name))
        frame = frame.f_back
    return stack
