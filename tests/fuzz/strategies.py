"""Damaged files, and limits within which a reader must end.

The number of examples is small by default; `scripts/fuzz COUNT` runs as many as asked for, each
time other ones.
"""

from __future__ import annotations

import gzip
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

COUNT_VARIABLE = "SHRESNET_FUZZ_COUNT"
TRIALS_VARIABLE = "SHRESNET_FUZZ_TRIALS"  # a file that grows by one byte with each example
MAX_SECONDS = 30
WAIT_FACTOR = 4  # seconds of the clock for one of the processor
MAX_MEMORY_KIB = 2 * 2**20
ENDINGS = (b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"[" * 50_000, b"\x1f\x8b\x08", b"1e999 nan")
TEXT_ENCODINGS = ("utf-16", "utf-32", "latin-1", "cp037")
ODD_NUMBERS = (float("nan"), float("inf"), -1.0, 0.0, 1e308, 5e-324)

Draw = Callable[..., Any]

ODD_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from(ODD_NUMBERS)
    | st.text(st.characters(codec=None), max_size=8)
    | st.sampled_from(["../../x", "/etc/passwd", "<script>", "\ud800", "", "n/a", "$(id)"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


class NoEndError(BaseException):
    """A reader did not end in time; not an Exception, which would be taken for bad input."""


def fuzz_settings(default: int) -> settings:
    """Settings of a test: `default` examples that are always the same, or as many as asked for."""
    count = os.environ.get(COUNT_VARIABLE)
    return settings(
        max_examples=int(count or default),
        derandomize=count is None,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def limits() -> Iterator[None]:
    """Fail if the body takes 30 s of the processor, or 2 minutes, or this process more than 2 GB.

    A starved machine may stand still for long, so 30 s by the clock would not do.
    """

    def stop(_: int, __: Any) -> None:
        msg = f"no end after {MAX_SECONDS} s"
        raise NoEndError(msg)

    timers = {
        signal.ITIMER_PROF: (signal.SIGPROF, MAX_SECONDS),
        signal.ITIMER_REAL: (signal.SIGALRM, WAIT_FACTOR * MAX_SECONDS),
    }
    previous = [signal.signal(number, stop) for number, _ in timers.values()]
    for timer, (_, seconds) in timers.items():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for timer in timers:
            signal.setitimer(timer, 0)
        for (number, _), handler in zip(timers.values(), previous, strict=True):
            signal.signal(number, handler)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < MAX_MEMORY_KIB
    _count_trial()


def _count_trial() -> None:
    if name := os.environ.get(TRIALS_VARIABLE):
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(".")


@st.composite
def damaged(draw: Draw, content: bytes) -> bytes:
    """Damage the bytes of a file: cut, repeat, overwrite, or encode them in another way."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 64)))
        kind = draw(st.sampled_from(["cut", "drop", "overwrite", "insert", "repeat", "encode"]))
        if kind == "cut":
            content = content[:start]
        elif kind == "drop":
            content = content[:start] + content[end:]
        elif kind == "overwrite":
            content = content[:start] + draw(st.binary(max_size=16)) + content[end:]
        elif kind == "insert":
            content = content[:start] + draw(st.sampled_from(ENDINGS)) + content[start:]
        elif kind == "repeat":
            content = content[:start] + content[start:end] * 200 + content[end:]
        else:
            encoding = draw(st.sampled_from(TEXT_ENCODINGS))
            content = content.decode("latin-1").encode(encoding, errors="replace")
    return content


@st.composite
def edited(draw: Draw, record: Any) -> Any:
    """Put an odd value anywhere into a record of JSON, or take a key out of it."""
    if not isinstance(record, dict | list) or not record or draw(st.integers(0, 4)) == 0:
        return draw(ODD_JSON)
    if isinstance(record, list):
        index = draw(st.integers(0, len(record) - 1))
        return [*record[:index], draw(edited(record[index])), *record[index + 1 :]]
    key = draw(st.sampled_from(sorted(record)))
    if draw(st.integers(0, 9)) == 0:
        return {name: value for name, value in record.items() if name != key}
    return record | {key: draw(edited(record[key]))}


@st.composite
def odd_image(draw: Draw) -> bytes:
    """Write a small NIfTI image whose header has odd fields, compressed."""
    shape = draw(st.sampled_from([(2, 2, 2), (2, 2, 2, 7), (1, 1, 1, 1, 3)]))
    image = nib.Nifti1Image(np.ones(shape, np.int16), np.diag([2.0, 2.0, 2.0, 1.0]))
    header = bytearray(image.to_bytes())
    fields = nib.nifti1.header_dtype.fields
    assert fields is not None
    for name in draw(st.lists(st.sampled_from(sorted(fields)), min_size=1, max_size=3)):
        data_type, offset = fields[name][:2]
        size = data_type.itemsize
        header[offset : offset + size] = draw(st.binary(min_size=size, max_size=size))
    return gzip.compress(bytes(header))
