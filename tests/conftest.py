"""Fixtures and settings of all tests: one small phantom, one thread, repeatable random examples."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from bids_shresnet.runtime.workers import THREAD_VARIABLES

# Set before torch, numpy and ITK are loaded, which read this once. Threads that wait for a core
# in use by another test make small networks ten times slower.
for name in THREAD_VARIABLES:
    os.environ.setdefault(name, "1")

settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")

ROOT = Path(__file__).parent.parent
SLOW_FIXTURES = {"phantom", "example_run"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests as slow that need simulated scans of whole heads."""
    for item in items:
        if isinstance(item, pytest.Function) and SLOW_FIXTURES.intersection(item.fixturenames):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with `bids` and `truth` of three travelling heads and one (04) of the source only."""
    from bids_shresnet.phantom.simulate import PhantomConfig, write_phantom

    out = tmp_path_factory.mktemp("phantom")
    write_phantom(out, PhantomConfig(subjects=3, apply_only=1, voxel_mm=8.0, directions=12))
    return out


@pytest.fixture(scope="session")
def example_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of examples/phantom.sh, with tiny heads and short training; its output in `stdout`."""
    folder = tmp_path_factory.mktemp("example")
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    run = subprocess.run(
        [ROOT / "examples/phantom.sh", folder, "--voxel-mm", "8"],
        env=os.environ | {"PATH": programs, "TRAINING": "--sloppy"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    (folder / "stdout").write_text(run.stdout)
    return folder
