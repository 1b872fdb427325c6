"""Outputs of whole runs on the phantom, and copies of them that tests may change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.phantom_runs import GROUP_FLAGS, HarmonizedDataset, digests, run_app
from tests.sockets import watch_network


@pytest.fixture(scope="session")
def harmonized(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> HarmonizedDataset:
    """The phantom, harmonized by `participant`."""
    bids = phantom / "bids"
    out = tmp_path_factory.mktemp("out")
    input_before = digests(bids)
    with watch_network() as events:
        code = run_app(bids, out)
    root = out / "derivatives/shresnet"
    return HarmonizedDataset(bids, root, code, input_before, tuple(events))


@pytest.fixture
def harmonized_copy(harmonized: HarmonizedDataset, tmp_path: Path) -> Path:
    """A copy of the output folder of `participant`."""
    shutil.copytree(harmonized.root, tmp_path / "out/derivatives/shresnet")
    return tmp_path / "out"


@pytest.fixture(scope="session")
def validated_group(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of `group` with a few methods and a small sweep."""
    out = tmp_path_factory.mktemp("group")
    assert run_app(phantom / "bids", out, *GROUP_FLAGS, level="group") == 0
    return out / "derivatives/shresnet"


@pytest.fixture
def validated_copy(validated_group: Path, tmp_path: Path) -> Path:
    """A copy of the output folder of `group`."""
    shutil.copytree(validated_group, tmp_path / "validated/derivatives/shresnet")
    return tmp_path / "validated"


@pytest.fixture
def bids(phantom: Path, tmp_path: Path) -> Path:
    """A copy of the dataset that a test may change."""
    return shutil.copytree(phantom / "bids", tmp_path / "bids")
