"""A tiny dataset, a folder that nothing may leave, and processes of the app that can be killed.

A process is a fork of this one, which has loaded the libraries, so that a run takes seconds.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image

from bids_shresnet.cli.app import main
from bids_shresnet.io.safetensors import read_arrays
from bids_shresnet.io.storage import hash_file, read_tsv
from bids_shresnet.outputs.layout import output_root
from bids_shresnet.phantom.simulate import PhantomConfig, write_phantom
from bids_shresnet.runtime.leftovers import MIN_AGE_SECONDS, TEMPORARY_NAME

TIMEOUT = 1800.0  # seconds after which a process hangs; a busy machine is slow
UNCAUGHT = 70  # exit code of a fork that ended in a traceback; the app has no such code
PHANTOM = PhantomConfig(subjects=3, apply_only=1, voxel_mm=8.0, directions=12, truth=False)
TRAVELLING = "01"  # a subject that is scanned on both scanners
APPLY_ONLY = "04"  # the subject that is scanned on the source only
BRIEF = ("--training.max-epochs=2", "--training.adam-epochs=1", "--training.voxels-per-epoch=600")
RESULTS = ("sub-", "models/from-")  # pages and logs name the time of their run
Prepare = Callable[[], None]


def do_nothing() -> None:
    """Prepare a process in no way."""


@dataclass(frozen=True)
class Sandbox:
    """A folder with the dataset `bids`, an empty `home` and working folder, and outputs."""

    folder: Path

    @property
    def bids(self) -> Path:
        """Return the dataset."""
        return self.folder / "bids"

    @property
    def log(self) -> Path:
        """Return the file of what processes print."""
        return self.folder / "screen.txt"

    def command(self, out: Path, level: str, *flags: str, processes: int = 1) -> list[str]:
        """Return the arguments of a run with one thread per process and short training."""
        workers = ("--nprocs", str(processes), "--omp-nthreads", "1")
        return [str(self.bids), str(out), level, *workers, *BRIEF, *flags]

    def start(self, arguments: list[str], prepare: Prepare = do_nothing) -> int:
        """Start the app in a fork of this process; return its process id."""
        child = os.fork()
        if child == 0:
            self._run(arguments, prepare)
        return child

    def run(self, arguments: list[str], prepare: Prepare = do_nothing) -> int | None:
        """Run the app to its end; return its exit code, None if it hangs."""
        return wait_for(self.start(arguments, prepare))

    def snapshot(self) -> dict[str, tuple[int, int]]:
        """Return size and time of all files that no run may write: all but outputs."""
        folders = [self.bids, self.folder / "home", self.folder / "cwd"]
        files = [path for folder in folders for path in folder.rglob("*")]
        stats = {str(path): path.lstat() for path in files if not path.is_dir()}
        return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}

    def _run(self, arguments: list[str], prepare: Prepare) -> None:
        os.setsid()
        file = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, 1)
        os.dup2(file, 2)
        code = UNCAUGHT
        try:
            prepare()
            code = main(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


@contextmanager
def make_sandbox() -> Iterator[Sandbox]:
    """Make a sandbox with a phantom of four heads; home and temporary files are in it, too."""
    with tempfile.TemporaryDirectory(prefix="reliability-") as name:
        folder = Path(name)
        for part in ("home", "cwd", "tmp"):
            (folder / part).mkdir()
        write_phantom(folder, PHANTOM)
        temporary = str(folder / "tmp")
        os.environ |= {"HOME": str(folder / "home"), "TMPDIR": temporary, "MPLCONFIGDIR": temporary}
        tempfile.tempdir = None
        os.chdir(folder / "cwd")
        yield Sandbox(folder)
        os.chdir("/")


def wait_for(child: int, seconds: float = TIMEOUT) -> int | None:
    """Wait for a process; kill it and its workers after too long, and return None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    kill(child)
    os.waitpid(child, 0)
    return None


def kill(child: int) -> None:
    """Kill a process and its workers, as a scheduler or the kernel does."""
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:  # it has not begun a group of its own
        os.kill(child, signal.SIGKILL)


def read_results(out: Path) -> dict[str, str]:
    """Return the digests of images, figures, tables and models of an output by their names."""
    root = output_root(out)
    files = [path for path in root.rglob("*") if path.is_file() and not is_hidden(path, root)]
    names = {str(path.relative_to(root)): path for path in files if path.suffix != ".html"}
    return {name: hash_file(path) for name, path in names.items() if name.startswith(RESULTS)}


def find_broken(out: Path) -> list[str]:
    """Read all files of an output to their end; return the names of those that cannot be read."""
    root = output_root(out)
    broken = []
    for path in sorted(root.rglob("*")):
        read = READERS.get(path.suffix)
        if read is None or is_hidden(path, root) or not path.is_file():
            continue
        try:
            read(path)
        except Exception as error:  # whatever is wrong with it, the file is lost
            broken.append(f"{path.relative_to(root)}: {error!r}")
    return broken


def count_leftovers(out: Path) -> int:
    """Count half-written temporary files."""
    return sum(TEMPORARY_NAME.fullmatch(path.name) is not None for path in out.rglob(".*"))


def age_files(out: Path) -> None:
    """Make all files as old as they are when somebody comes back to a run that was killed."""
    past = time.time() - 2 * MIN_AGE_SECONDS
    for path in out.rglob("*"):
        if path.is_file():
            os.utime(path, (past, past))


def is_hidden(path: Path, root: Path) -> bool:
    """Whether a file or one of its folders below the root begins with a dot."""
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _read_page(path: Path) -> None:
    if not path.read_text(encoding="utf-8").rstrip().endswith(f"</{path.suffix[1:]}>"):
        msg = "it has no end"
        raise ValueError(msg)


def _read_image(path: Path) -> Any:
    return np.asarray(nib.Nifti1Image.from_filename(path).dataobj)


def _read_picture(path: Path) -> None:
    with Image.open(path) as picture:
        picture.load()


READERS: Mapping[str, Callable[[Path], Any]] = {
    ".gz": _read_image,
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".tsv": read_tsv,
    ".safetensors": read_arrays,
    ".png": _read_picture,
    ".svg": _read_page,
    ".html": _read_page,
    ".bval": np.loadtxt,
    ".bvec": np.loadtxt,
}
