"""Folders for temporary files and for the caches of libraries.

The usual folders are often not usable in a container: its root file system may be read-only, and
`/tmp` and the home may be closed or a few MB of memory (`apptainer --containall`). The current
folder, which Python would try last, may be the dataset.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bids_shresnet.runtime.leftovers import is_abandoned, mark_in_use

TEMP_VARIABLES = ("TMPDIR", "TEMP", "TMP")  # in the order of Python's tempfile
SYSTEM_TEMP_FOLDERS = ("/tmp", "/var/tmp")
# The transforms of a registration take some 50 MB, and each process may hold one
MIN_FREE_BYTES = 2**30
SPOOL_VARIABLE = "BIDS_SHRESNET_SPOOL"  # the folder for arrays that are not in memory, see spool.py
# Of matplotlib, the only library here that keeps a cache; by default it is in the home
CACHE_VARIABLE = "MPLCONFIGDIR"
SCRATCH_PREFIX = ".tmp-"
IN_USE_FILE = ".in-use"

logger = logging.getLogger(__name__)


@contextmanager
def use_scratch_folder(work_folder: Path, *, should_spool: bool = False) -> Iterator[None]:
    """Provide a folder for temporary files in the body: the usual one, or one in the work folder.

    Spooled arrays always go to the work folder, because the usual folders often are memory
    themselves. Enter this before a library asks for such a folder, and before processes are
    started, which inherit it.
    """
    usual = _usual_temp_folder()
    has_cache = CACHE_VARIABLE in os.environ or os.access(os.environ.get("HOME", "/"), os.W_OK)
    if usual and has_cache and not should_spool:
        with _set_environment({"TMPDIR": usual}):
            yield
        return
    work_folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(work_folder)
    with _make_scratch(work_folder) as scratch:
        logger.info("temporary files: %s", scratch)
        caches = {} if has_cache else {CACHE_VARIABLE: scratch}
        spool = {SPOOL_VARIABLE: scratch} if should_spool else {}
        with _set_environment({"TMPDIR": usual or scratch, **caches, **spool}):
            yield


@contextmanager
def _make_scratch(work_folder: Path) -> Iterator[str]:
    """Make a folder that others can tell to be in use; it is removed at the end."""
    with (
        tempfile.TemporaryDirectory(prefix=SCRATCH_PREFIX, dir=work_folder) as scratch,
        mark_in_use(Path(scratch) / IN_USE_FILE),
    ):
        yield scratch


def _remove_abandoned(work_folder: Path) -> None:
    """Remove the folders of runs that were killed."""
    for folder in work_folder.glob(f"{SCRATCH_PREFIX}*"):
        if is_abandoned(folder / IN_USE_FILE):
            logger.info("removed what a run that was killed left: %s", folder)
            shutil.rmtree(folder, ignore_errors=True)


def _usual_temp_folder() -> str | None:
    """Return the first usual folder that is writable and has enough space, if there is one."""
    named = [os.environ[name] for name in TEMP_VARIABLES if os.environ.get(name)]
    folders = (folder for folder in (*named, *SYSTEM_TEMP_FOLDERS) if _has_space(folder))
    return next(folders, None)


def _has_space(folder: str) -> bool:
    return os.access(folder, os.W_OK | os.X_OK) and shutil.disk_usage(folder).free >= MIN_FREE_BYTES


@contextmanager
def _set_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables in the body, and have Python look for its temporary folder again."""
    previous = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    tempfile.tempdir = None
    try:
        yield
    finally:
        for name, value in previous.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        tempfile.tempdir = None
