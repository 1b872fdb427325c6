"""Where temporary files and the caches of libraries go.

The usual places will not do in a container: its root file system may be read-only, and `/tmp` and the home a few MB of
memory (`apptainer --containall`), or closed. The current folder, which Python would try last, may be the dataset.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

TEMP_VARIABLES = ("TMPDIR", "TEMP", "TMP")  # in the order of Python's tempfile
SYSTEM_TEMP_FOLDERS = ("/tmp", "/var/tmp")
MIN_FREE_BYTES = (
    2**30
)  # bytes: the transforms of a registration take some 50 MB, and there may be one a process
SPOOL_VARIABLE = "BIDS_SHRESNET_SPOOL"  # where spool.py keeps series, if not in memory
CACHE_VARIABLE = (
    "MPLCONFIGDIR"  # of matplotlib, the only library here that keeps one; it looks in the home
)

logger = logging.getLogger(__name__)


@contextmanager
def use_scratch_folder(work_folder: Path, *, should_spool: bool = False) -> Iterator[None]:
    """Have a place for temporary files while the body runs: the usual one, or one in the work folder.

    What is too large for memory is always spooled to the work folder: the usual places often are memory themselves.
    To be entered before a library asks for such a place, and before processes are started, which inherit the answer.
    """
    named = [os.environ[name] for name in TEMP_VARIABLES if os.environ.get(name)]
    usual = next((place for place in (*named, *SYSTEM_TEMP_FOLDERS) if _has_room(place)), None)
    cached = CACHE_VARIABLE in os.environ or os.access(os.environ.get("HOME", "/"), os.W_OK)
    if usual and cached and not should_spool:
        with _set_environment({"TMPDIR": usual}):
            yield
        return
    work_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=work_folder) as own:
        logger.info("temporary files: %s", own)
        places = (
            {"TMPDIR": usual or own}
            | ({} if cached else {CACHE_VARIABLE: own})
            | ({SPOOL_VARIABLE: own} if should_spool else {})
        )
        with _set_environment(places):
            yield


def _has_room(folder: str) -> bool:
    return os.access(folder, os.W_OK | os.X_OK) and shutil.disk_usage(folder).free >= MIN_FREE_BYTES


@contextmanager
def _set_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables while the body runs, and have Python ask for its folder of temporary files again."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    tempfile.tempdir = None
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        tempfile.tempdir = None
