from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bids_shresnet.runtime.screen import GuardedStream, guard_stderr

MESSAGES = """
import logging, sys, warnings
from bids_shresnet.runtime.logs import log_to_screen
from bids_shresnet.runtime.progress import progress_bar
from bids_shresnet.runtime.screen import guard_stderr

with guard_stderr(), log_to_screen(0):
    with progress_bar(3, "work", "job") as progress:
        for _ in range(3):
            logging.getLogger("bids_shresnet").info("a message")
            warnings.warn("a warning")
            progress.update()
    open(sys.argv[1], "w").write("done")
"""


@pytest.mark.parametrize("screen", ["pipe", "/dev/full"])
def test_a_run_goes_on_without_a_screen(screen: str, tmp_path: Path) -> None:
    """Nobody reads the pipe any more; the disk of the other file is full."""
    if screen == "pipe":
        reading, writing = os.pipe()
        os.close(reading)
    else:
        writing = os.open(screen, os.O_WRONLY)
    out = tmp_path / "out"
    command = [sys.executable, "-c", MESSAGES, str(out)]
    ended = subprocess.run(command, stderr=writing, check=False, timeout=60)
    os.close(writing)
    assert ended.returncode == 0
    assert out.read_text() == "done"


def test_a_working_screen_shows_everything(capsys: pytest.CaptureFixture[str]) -> None:
    with guard_stderr():
        sys.stderr.write("one\n")
    sys.stderr.write("two\n")
    assert capsys.readouterr().err == "one\ntwo\n"


def test_a_closed_stream_is_silent() -> None:
    stream = io.StringIO()
    stream.close()
    guarded = GuardedStream(stream)
    assert guarded.write("text") == 4
    guarded.flush()
