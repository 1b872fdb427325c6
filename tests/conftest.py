"""What all tests share: hypothesis repeats itself, and does not time a busy machine; one small phantom."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch, numpy and ITK are loaded, which read it once: threads that wait for a core another test run uses
# make small networks ten times slower.
for name in (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
):
    os.environ.setdefault(name, "1")

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `bids` and `truth` of three travelling heads (01 to 03) and one that stays on the source (04)."""
    from bids_shresnet.phantom.simulate import PhantomConfig, write_phantom

    out = tmp_path_factory.mktemp("phantom")
    write_phantom(out, PhantomConfig(subjects=3, apply_only=1, voxel_mm=8.0, directions=12))
    return out


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What examples/phantom.sh leaves, on tiny heads and hardly trained, and `said`: what it printed."""
    folder, root = tmp_path_factory.mktemp("walk"), Path(__file__).parent.parent
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    small = ("--voxel-mm", "8")
    found = subprocess.run(
        [root / "examples/phantom.sh", folder, *small],
        env=os.environ | {"PATH": programs, "TRAINING": "--sloppy"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    (folder / "said").write_text(found.stdout)
    return folder
