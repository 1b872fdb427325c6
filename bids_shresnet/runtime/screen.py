"""A screen that may go away: a closed terminal or pipe, or a full disk behind stderr.

What is shown there is also in the log of the run, so nothing ends because nobody can read it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class GuardedStream:
    """A text stream that becomes silent when it cannot be written to any more."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the stream."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text, or nothing."""
        try:
            self._stream.write(text)
        except (OSError, ValueError):  # ValueError: the stream is closed
            silence(self._stream)
        return len(text)

    def flush(self) -> None:
        """Flush, if it is possible."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            silence(self._stream)


@contextmanager
def guard_stderr() -> Iterator[None]:
    """Let no failure of stderr reach the body."""
    stderr: Any = sys.stderr
    guarded: Any = GuardedStream(stderr)
    sys.stderr = guarded
    try:
        yield
    finally:
        guarded.flush()
        sys.stderr = stderr


def silence(stream: Any) -> None:
    """Connect the file of a stream with nothing, for libraries and for Python's own last flush."""
    try:
        file = stream.fileno()
    except (OSError, ValueError):  # closed, or no file
        return
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, file)
    os.close(nothing)
