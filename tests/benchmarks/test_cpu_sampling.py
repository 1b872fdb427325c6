from __future__ import annotations

import time

import pytest

from benchmarks.cpu_sampling import IMPORTS, OTHER, TASKS, name_task, profile_call


def spin(seconds: float) -> None:
    """Use CPU time."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_the_seconds_of_all_tasks_are_the_cpu_time() -> None:
    start = time.process_time()
    seconds = profile_call(lambda: spin(0.3))
    assert sum(seconds.values()) == pytest.approx(time.process_time() - start, abs=0.02)
    assert seconds[OTHER] == pytest.approx(0.3, abs=0.03)


def test_time_asleep_does_not_count() -> None:
    seconds = profile_call(lambda: time.sleep(0.2))
    assert sum(seconds.values()) < 0.05


def test_the_innermost_known_function_names_the_task() -> None:
    stack = [
        ("numpy/linalg.py", "pinv"),
        ("/x/bids_shresnet/diffusion/tensor_fit.py", "fit_weighted_tensors"),
        ("/x/bids_shresnet/report/pictures/dwi_view.py", "view_dwi"),
    ]
    assert name_task(stack) == "tensors"
    assert name_task(stack[2:]) == "pictures"
    assert name_task(stack[:1]) == OTHER
    assert name_task([*stack, ("importlib", "_find_and_load")]) == IMPORTS


def test_every_task_names_existing_code(request: pytest.FixtureRequest) -> None:
    files = [path.as_posix() for path in (request.config.rootpath / "bids_shresnet").rglob("*.py")]
    for part, _, _ in TASKS:
        assert any(part in file for file in files), part
