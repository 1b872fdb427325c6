from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bids_shresnet.errors import Interrupted
from bids_shresnet.io.storage import atomic_path
from bids_shresnet.runtime.signals import (
    STOP_SIGNALS,
    interrupt_on_signals,
    raise_if_interrupted,
)

POOL = """
import sys, time
from pathlib import Path
from bids_shresnet.errors import Interrupted
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.runtime.signals import interrupt_on_signals
from tests.runtime.test_signals import write_slowly

if __name__ == "__main__":
    with interrupt_on_signals():
        list(Workers(2, 1).run(write_slowly, [Path(sys.argv[1]) / name for name in "abcdefgh"]))
"""


def write_slowly(path: Path) -> None:
    """Write the first half of a file, then wait for a long time."""
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        time.sleep(300)


@contextmanager
def killed_at_the_end(leader: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill what is left of a process group, for which a failed test would wait otherwise."""
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(leader.pid, signal.SIGKILL)


def receive(number: signal.Signals) -> None:
    """Get a signal in the middle of the body."""
    with interrupt_on_signals():
        os.kill(os.getpid(), number)
        time.sleep(5)


@pytest.mark.parametrize("number", STOP_SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_the_body_with_the_code_for_try_again_and_restores_the_handlers(
    number: signal.Signals,
) -> None:
    handlers = [signal.getsignal(stop_signal) for stop_signal in STOP_SIGNALS]
    with pytest.raises(Interrupted, match=f"stopped by {number.name}") as stop:
        receive(number)
    assert stop.value.code == stop.value.exit_code == 75 == os.EX_TEMPFAIL
    assert [signal.getsignal(stop_signal) for stop_signal in STOP_SIGNALS] == handlers


class SignalledField:
    """A field of a class that gets a signal while the class is made."""

    def __set_name__(self, _: type, __: str) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)


def test_a_signal_while_a_class_is_made_interrupts() -> None:
    """Python 3.11 raises a RuntimeError for what is raised there."""
    with pytest.raises(Interrupted, match="stopped by SIGTERM"), interrupt_on_signals():
        type("Signalled", (), {"field": SignalledField()})


def test_errors_without_a_signal_stay_what_they_are() -> None:
    with suppress(Interrupted):
        receive(signal.SIGTERM)  # of an earlier body
    with pytest.raises(ValueError, match="invalid literal"), interrupt_on_signals():
        int("none")


@pytest.mark.parametrize("number", STOP_SIGNALS, ids=lambda number: number.name)
def test_the_next_job_after_a_signal_is_stopped_by_the_same_signal(number: signal.Signals) -> None:
    with interrupt_on_signals():
        raise_if_interrupted()  # no signal came in this body
        with suppress(Interrupted):
            os.kill(os.getpid(), number)
            time.sleep(5)
        with pytest.raises(Interrupted, match=f"stopped by {number.name}"):
            raise_if_interrupted()


AFTER_THE_END = """
import os, signal, sys
from bids_shresnet.cli.app import main
sys.argv = ["bids-shresnet", "--version"]
code = main()
os.kill(os.getpid(), signal.{name})
sys.exit(code)
"""


@pytest.mark.parametrize("name", [number.name for number in STOP_SIGNALS])
def test_a_signal_after_the_end_of_a_run_does_not_change_its_exit_code(name: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", AFTER_THE_END.format(name=name)], capture_output=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


TWICE = """
import os, signal, time
from bids_shresnet.runtime.signals import interrupt_on_signals
with interrupt_on_signals():
    try:
        os.kill(os.getpid(), signal.{first})
        time.sleep(60)
    finally:
        print("cleaning up", flush=True)
        os.kill(os.getpid(), signal.{second})
        time.sleep(1)
        print("cleaned up", flush=True)
"""


@pytest.mark.parametrize(
    ("first", "second", "is_cleaned"),
    [
        ("SIGINT", "SIGINT", False),
        ("SIGTERM", "SIGINT", False),
        ("SIGINT", "SIGTERM", True),
        ("SIGTERM", "SIGTERM", True),
    ],
)
def test_only_ctrl_c_after_a_signal_ends_at_once(first: str, second: str, is_cleaned: bool) -> None:
    code = TWICE.format(first=first, second=second)
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == Interrupted.exit_code
    assert ended.stdout.startswith("cleaning up")
    assert ("cleaned up" in ended.stdout) == is_cleaned
    assert "Traceback" not in ended.stderr


def test_code_that_continues_after_errors_does_not_continue_after_a_signal() -> None:
    assert not issubclass(Interrupted, Exception)


def test_a_worker_can_send_an_interruption_to_its_parent() -> None:
    assert str(pickle.loads(pickle.dumps(Interrupted("SIGTERM")))) == str(Interrupted("SIGTERM"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "send_signal", [os.kill, os.killpg], ids=["to the parent", "to the parent and its workers"]
)
def test_workers_stop_with_their_parent_and_leave_no_half_written_files(
    send_signal: Callable[[int, int], None], number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(POOL)
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, str(tmp_path / "script.py"), str(out)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    with (
        subprocess.Popen(command, start_new_session=True, env=environment) as parent,
        killed_at_the_end(parent),
    ):
        deadline = time.monotonic() + 200
        while len(list(out.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(list(out.iterdir())) == 2
        send_signal(parent.pid, number)
        assert parent.wait(10) == Interrupted.exit_code
    assert not list(out.iterdir())
