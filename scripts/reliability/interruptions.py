"""Runs that are killed or stopped at a random moment, and then done again to their end."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_shresnet.errors import Interrupted
from scripts.reliability.counts import Counts
from scripts.reliability.sandbox import (
    APPLY_ONLY,
    TRAVELLING,
    Sandbox,
    age_files,
    count_leftovers,
    kill,
    read_results,
    wait_for,
)

ROOT = Path(__file__).resolve().parent.parent.parent
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
GROUP = ("--method", "order_gain", "--methods", "order_gain")


@dataclass(frozen=True)
class Reference:
    """An undisturbed run: its arguments without the output, its results and its duration in s."""

    level: str
    flags: tuple[str, ...]
    results: dict[str, str]
    seconds: float


def make_reference(sandbox: Sandbox, name: str, level: str, *flags: str) -> Reference:
    """Run the app undisturbed; its output is the folder `name` of the sandbox."""
    out = sandbox.folder / name
    start = time.monotonic()
    code = sandbox.run(sandbox.command(out, level, *flags))
    if code != 0:
        msg = f"the undisturbed run ended with {code}: see {sandbox.log.read_text()[-3000:]}"
        raise RuntimeError(msg)
    return Reference(level, flags, read_results(out), time.monotonic() - start)


def model_flags(sandbox: Sandbox, *subjects: str) -> tuple[str, ...]:
    """Train a model, and return the flags that apply it to the scans of some subjects."""
    make_reference(sandbox, "trained", "group", "--no-validation")
    models = sandbox.folder / "trained/derivatives/shresnet/models"
    return ("--models", str(models), "--participant-label", *(subjects or (APPLY_ONLY,)))


def kill_participant(sandbox: Sandbox, count: int) -> Counts:
    """Kill `participant`, which applies a model, and run it again."""
    reference = make_reference(sandbox, "reference", "participant", *model_flags(sandbox))
    return kill_runs(sandbox, reference, count)


def kill_group(sandbox: Sandbox, count: int) -> Counts:
    """Kill `group`, which registers, trains and validates, and run it again."""
    return kill_runs(sandbox, make_reference(sandbox, "reference", "group", *GROUP), count)


def kill_runs(sandbox: Sandbox, reference: Reference, count: int) -> Counts:
    """Kill runs at random moments; what they leave must be whole, and the next run exact."""
    counts = Counts()
    rng = random.Random(count)
    before = sandbox.snapshot()
    while counts.trials < count:
        out = sandbox.folder / "out"
        arguments = sandbox.command(out, reference.level, *reference.flags)
        if not kill_once(sandbox, arguments, rng.uniform(0, reference.seconds)):
            counts.remarks["runs that ended before"] += 1
        else:
            counts.trials += 1
            finish(sandbox, out, reference, counts)
        shutil.rmtree(out, ignore_errors=True)
    counts.check_outside(sandbox, before)
    return counts


def kill_once(sandbox: Sandbox, arguments: list[str], seconds: float) -> bool:
    """Start a run and kill it after some seconds; False if it had ended before."""
    child = sandbox.start(arguments)
    time.sleep(seconds)
    ended, _ = os.waitpid(child, os.WNOHANG)
    if ended:
        return False
    kill(child)
    os.waitpid(child, 0)
    return True


def finish(sandbox: Sandbox, out: Path, reference: Reference, counts: Counts) -> None:
    """Check what a run has left, run it to its end and compare it with the undisturbed one."""
    counts.check_files(out)
    age_files(out)
    code = sandbox.run(sandbox.command(out, reference.level, *reference.flags))
    counts.check_code(code, (0,), "the run after it")
    counts.check_files(out)
    counts.check_results(out, reference.results)
    if count_leftovers(out):
        counts.fail("losses", f"{count_leftovers(out)} half-written files stay")


def change_settings(sandbox: Sandbox, count: int) -> Counts:
    """Interrupt a run with other settings; then either settings must give their own files."""
    flags = model_flags(sandbox)
    choices: Sequence[tuple[str, ...]] = ((), ("--noise", "target"), ("--abstain",))
    references = [
        make_reference(sandbox, f"reference{number}", "participant", *flags, *choice)
        for number, choice in enumerate(choices)
    ]
    counts = Counts()
    rng = random.Random(count)
    before = sandbox.snapshot()
    while counts.trials < count:
        out = sandbox.folder / "out"
        first, second = rng.sample(range(len(references)), 2)
        shutil.copytree(sandbox.folder / f"reference{first}", out)
        other = references[second]
        arguments = sandbox.command(out, other.level, *other.flags)
        if kill_once(sandbox, arguments, rng.uniform(0, other.seconds)):
            counts.trials += 1
            finish(sandbox, out, references[rng.choice([first, second])], counts)
        shutil.rmtree(out)
    counts.check_outside(sandbox, before)
    return counts


def send_signals(sandbox: Sandbox, count: int) -> Counts:
    """Stop runs by a signal, and run them again; half of them have two processes."""
    model = model_flags(sandbox, TRAVELLING, APPLY_ONLY)
    reference = make_reference(sandbox, "reference", "participant", *model)
    counts = Counts()
    rng = random.Random(count)
    before = sandbox.snapshot()
    while counts.trials < count:
        out = sandbox.folder / "out"
        processes = 1 + counts.trials % 2
        flags = reference.flags
        arguments = sandbox.command(out, reference.level, *flags, processes=processes)
        number = STOP_SIGNALS[counts.trials % len(STOP_SIGNALS)]
        if stop_once(sandbox, arguments, number, rng.uniform(0, 2 * reference.seconds), counts):
            counts.trials += 1
            finish(sandbox, out, reference, counts)
        shutil.rmtree(out, ignore_errors=True)
    counts.check_outside(sandbox, before)
    return counts


def stop_once(
    sandbox: Sandbox, arguments: list[str], number: signal.Signals, seconds: float, counts: Counts
) -> bool:
    """Send a signal to a run some seconds after its first line; False if it had ended before."""
    screen = sandbox.folder / "signal.txt"
    command = [sys.executable, "-m", "bids_shresnet", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with screen.open("w") as file:
        process = subprocess.Popen(command, stderr=file, env=environment, start_new_session=True)
    while process.poll() is None and not screen.stat().st_size:
        time.sleep(0.01)
    time.sleep(seconds)
    if process.poll() is not None:
        counts.remarks["runs that ended before"] += 1
        return False
    process.send_signal(number)
    start = time.monotonic()
    code = wait_for(process.pid)
    counts.remarks["s until the slowest ended"] = max(
        counts.remarks["s until the slowest ended"], round(time.monotonic() - start)
    )
    process.returncode = code  # it is waited for already
    if code == 0:  # the signal came too late
        counts.remarks["runs that ended before"] += 1
        return False
    counts.check_code(code, (Interrupted.exit_code,), f"a run after {number.name}")
    check_screen(screen.read_text(), number, counts)
    return True


def check_screen(text: str, number: signal.Signals, counts: Counts) -> None:
    """Count tracebacks, and runs that do not end with one line about the signal."""
    if "Traceback" in text:
        counts.fail("tracebacks", text[-2000:])
    elif text.count(f"stopped by {number.name}") != 1:
        counts.fail("losses", f"no line about {number.name}: {text[-500:]}")
