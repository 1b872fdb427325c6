"""Interrupt, starve and mislead the app many times, and count what goes wrong.

    python -m scripts.reliability EXPERIMENT COUNT

Run it in the root of the repository, with the packages of the tests installed. It makes a tiny
dataset of its own in a temporary folder, prints one line of counts, and ends with exit code 1 if a
file was lost, a run ended in a traceback or not at all, or something was written outside.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

EXPERIMENTS = {
    "kill-participant": "interruptions:kill_participant",
    "kill-group": "interruptions:kill_group",
    "settings": "interruptions:change_settings",
    "signals": "interruptions:send_signals",
    "races": "conflicts:race",
    "faults": "conflicts:take_room_and_rights",
    "datasets": "fuzzing:damage_datasets",
    "files": "fuzzing:damage_files",
    "models": "fuzzing:edit_models",
    "repeats": "repeats:repeat_runs",
}
WITHOUT_SANDBOX = ("datasets", "files", "models")
# Loaded before processes are forked; the app loads them late
LIBRARIES = ("ants", "sklearn.mixture", "matplotlib.pyplot")


def main() -> int:
    """Run an experiment, print its counts and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("count", type=int, help="number of trials")
    options = parser.parse_args()
    run = load_experiment(options.experiment)
    with make_place(options.experiment) as place:
        counts = run(place, options.count)
    sys.stdout.write(f"{options.experiment}: {counts}\n")
    return 0 if counts.is_clean else 1


def load_experiment(name: str) -> Callable[[Any, int], Any]:
    """Load the function of an experiment, with one thread per process."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"
    module, function = EXPERIMENTS[name].split(":")
    experiment: Callable[[Any, int], Any] = getattr(
        importlib.import_module(f"scripts.reliability.{module}"), function
    )
    return experiment


def make_place(name: str) -> Any:
    """Make the sandbox of an experiment, once all libraries are loaded."""
    if name in WITHOUT_SANDBOX:
        return nullcontext()
    for library in (*LIBRARIES, "bids_shresnet.workflow.execute_plan"):
        importlib.import_module(library)
    return importlib.import_module("scripts.reliability.sandbox").make_sandbox()


if __name__ == "__main__":
    sys.exit(main())
