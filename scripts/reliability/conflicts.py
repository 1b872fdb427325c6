"""Runs that work on one scan at the same time, or that have no room or no right to write."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from scripts.reliability.counts import Counts
from scripts.reliability.interruptions import Reference, finish, make_reference, model_flags
from scripts.reliability.sandbox import Sandbox, kill, wait_for

RACERS = 3
CAPABILITY_VERSION = 0x20080522  # of Linux, for 64 capabilities
FAULT_CODES = (0, 1, 73, 74)  # nothing was hit, a scan failed, no output, a disk error


def race(sandbox: Sandbox, count: int) -> Counts:
    """Start runs on one scan at the same time, of two settings, and kill one of every other trial.

    Afterwards, a run alone must leave the files of its settings.
    """
    flags = model_flags(sandbox)
    plain = make_reference(sandbox, "reference0", "participant", *flags)
    other = make_reference(sandbox, "reference1", "participant", *flags, "--noise", "target")
    counts = Counts()
    rng = random.Random(count)
    before = sandbox.snapshot()
    for number in range(count):
        out = sandbox.folder / "out"
        chosen = [rng.choice([plain, other]) for _ in range(RACERS)]
        children = [sandbox.start(_arguments(sandbox, out, item)) for item in chosen]
        if number % 2:
            time.sleep(rng.uniform(0, RACERS * plain.seconds))
            _kill_if_alive(children.pop(), counts)
        for child in children:
            counts.check_code(wait_for(child), (0,), "a run beside others")
        finish(sandbox, out, rng.choice([plain, other]), counts)
        counts.trials += 1
        shutil.rmtree(out)
    counts.check_outside(sandbox, before)
    return counts


def take_room_and_rights(sandbox: Sandbox, count: int) -> Counts:
    """Let writing fail at a random place in one of three ways; given back, the run must go on."""
    reference = make_reference(sandbox, "reference", "participant", *model_flags(sandbox))
    counts = Counts()
    rng = random.Random(count)
    before = sandbox.snapshot()
    ways: list[Callable[[Sandbox, Path, Reference, random.Random], int | None]] = [
        run_with_small_files,
        run_on_full_disk,
        run_without_right,
    ]
    for number in range(count):
        out = sandbox.folder / "out"
        way = ways[number % len(ways)]
        code = way(sandbox, out, reference, rng)
        counts.check_code(code, FAULT_CODES, way.__name__)
        finish(sandbox, out, reference, counts)
        counts.trials += 1
        shutil.rmtree(out)
    counts.check_outside(sandbox, before)
    return counts


def run_with_small_files(
    sandbox: Sandbox, out: Path, reference: Reference, rng: random.Random
) -> int | None:
    """Run where no file may be larger than a random size."""
    limit = int(10 ** rng.uniform(2, 6))

    def prepare() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    return sandbox.run(_arguments(sandbox, out, reference), prepare)


def run_on_full_disk(
    sandbox: Sandbox, out: Path, reference: Reference, rng: random.Random
) -> int | None:
    """Run on a disk that is full from a random file on; it is full when a file is flushed."""
    last = rng.randrange(60)

    def prepare() -> None:
        flushed: list[int] = []
        flush = os.fsync

        def fail_after_some(file: int) -> None:
            flushed.append(file)
            if len(flushed) > last:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            flush(file)

        os.fsync = fail_after_some  # type: ignore[assignment]

    return sandbox.run(_arguments(sandbox, out, reference), prepare)


def run_without_right(
    sandbox: Sandbox, out: Path, reference: Reference, rng: random.Random
) -> int | None:
    """Run as a user who must not write in one of the folders of an earlier output."""
    shutil.copytree(sandbox.folder / "reference", out)
    _lose_a_file(out, rng)
    closed = rng.choice([path for path in sorted(out.rglob("*")) if path.is_dir()])
    closed.chmod(0o555)
    code = sandbox.run(_arguments(sandbox, out, reference), _drop_capabilities)
    closed.chmod(0o755)
    return code


def _lose_a_file(out: Path, rng: random.Random) -> None:
    outputs = sorted(out.glob("derivatives/shresnet/sub-*/**/dwi/*.json"))
    rng.choice(outputs).unlink()


def _drop_capabilities() -> None:
    """Give up what lets root write in any folder; other users have nothing to give up."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)  # of this process
    nothing = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, nothing):
        raise OSError(ctypes.get_errno(), "capset")


def _arguments(sandbox: Sandbox, out: Path, reference: Reference) -> list[str]:
    return sandbox.command(out, reference.level, *reference.flags)


def _kill_if_alive(child: int, counts: Counts) -> None:
    ended, _ = os.waitpid(child, os.WNOHANG)
    if not ended:
        kill(child)
        os.waitpid(child, 0)
        counts.remarks["runs killed beside others"] += 1
