"""Control groups are files in a folder, as Linux shows them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from bids_shresnet.runtime import resources
from bids_shresnet.runtime.resources import available_cores, available_memory

GB = 2**30
NO_LIMIT = 2**63 - 4096  # as version 1 of control groups writes it


@pytest.fixture(autouse=True)
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have 16 cores and 64 GB, without control groups and Slurm."""
    for name in list(os.environ):
        if name.startswith("SLURM_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(resources, "CGROUP_ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(resources, "OWN_CGROUP_FILE", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    pages = {"SC_PHYS_PAGES": 64 * GB // 4096, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)


def write_groups(folder: Path, own_groups: str, files: Mapping[str, object]) -> None:
    (folder / "own").write_text(own_groups)
    for name, content in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")


def test_without_limits_all_of_the_machine_is_available() -> None:
    assert (available_cores(), available_memory()) == (16, 64 * GB)


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", 16),
        ("200000 100000", 2),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("9900000 100000", 16),
    ],
)
def test_a_containers_quota_limits_the_cores(quota: str, cores: int, tmp_path: Path) -> None:
    write_groups(tmp_path, "0::/", {"cpu.max": quota})
    assert available_cores() == cores


def test_the_tightest_of_nested_groups_counts(tmp_path: Path) -> None:
    files = {
        "slurm/cpu.max": "800000 100000",
        "slurm/job_1/cpu.max": "400000 100000",
        "slurm/job_1/step/cpu.max": "max 100000",
        "slurm/job_2/cpu.max": "100000 100000",  # another job's
        "slurm/memory.max": 8 * GB,
        "slurm/job_1/memory.max": "max",
    }
    write_groups(tmp_path, "0::/slurm/job_1/step", files)
    assert (available_cores(), available_memory()) == (4, 8 * GB)


@pytest.mark.parametrize("folder", ["docker/abc", "."], ids=["own path", "root of a container"])
def test_groups_of_version_1_are_read(folder: str, tmp_path: Path) -> None:
    own_groups = "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n3:cpuset:/other"
    files = {
        "memory/memory.limit_in_bytes": NO_LIMIT,
        f"memory/{folder}/memory.limit_in_bytes": 2 * GB,
        f"cpu/{folder}/cpu.cfs_quota_us": 300000,
        f"cpu/{folder}/cpu.cfs_period_us": 100000,
    }
    write_groups(tmp_path, own_groups, files)
    assert (available_cores(), available_memory()) == (3, 2 * GB)


def test_a_quota_of_minus_one_is_no_limit(tmp_path: Path) -> None:
    write_groups(tmp_path, "5:cpu:/", {"cpu/cpu.cfs_quota_us": -1, "cpu/cpu.cfs_period_us": 100000})
    assert available_cores() == 16


@pytest.mark.parametrize(
    ("variables", "cores", "memory"),
    [
        ({"SLURM_CPUS_PER_TASK": "4", "SLURM_CPUS_ON_NODE": "8"}, 4, 64 * GB),
        ({"SLURM_CPUS_ON_NODE": "8", "SLURM_MEM_PER_NODE": "2048"}, 8, 2 * GB),
        ({"SLURM_CPUS_PER_TASK": "3", "SLURM_MEM_PER_CPU": "1024"}, 3, 3 * GB),
        ({"SLURM_CPUS_PER_TASK": "99", "SLURM_MEM_PER_NODE": "0"}, 16, 64 * GB),
        ({"SLURM_CPUS_PER_TASK": "x"}, 16, 64 * GB),
    ],
)
def test_no_more_is_available_than_slurm_grants(
    variables: Mapping[str, str], cores: int, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (available_cores(), available_memory()) == (cores, memory)
