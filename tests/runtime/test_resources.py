"""Trees of control groups as Linux shows them, written into a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from bids_shresnet.runtime import resources
from bids_shresnet.runtime.resources import available_cores, available_memory

GB = 2**30


@pytest.fixture(autouse=True)
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """16 cores and 64 GB, in no control group and under no scheduler."""
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(resources, "CGROUP_ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(resources, "OWN_CGROUP_FILE", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setattr(
        os, "sysconf", {"SC_PHYS_PAGES": 64 * GB // 4096, "SC_PAGE_SIZE": 4096}.__getitem__
    )


def write_groups(folder: Path, own: str, files: Mapping[str, object]) -> None:
    (folder / "own").write_text(own)
    for name, content in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")


def test_without_limits_the_machine_is_what_there_is() -> None:
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


def test_of_nested_groups_of_version_2_the_tightest_counts(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("place", ["docker/abc", "."])
def test_groups_of_version_1_are_read_where_they_are_or_at_the_root_of_a_container(
    place: str, tmp_path: Path
) -> None:
    own = "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n3:cpuset:/other"
    files = {
        f"cpu/{place}/cpu.cfs_quota_us": 300000,
        f"cpu/{place}/cpu.cfs_period_us": 100000,
        f"memory/{place}/memory.limit_in_bytes": 2 * GB,
        "memory/memory.limit_in_bytes" if place != "." else "memory/unused": 2**63
        - 4096,  # no limit
    }
    write_groups(tmp_path, own, files)
    assert (available_cores(), available_memory()) == (3, 2 * GB)


def test_no_quota_of_version_1_is_none(tmp_path: Path) -> None:
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
def test_what_slurm_granted_is_not_exceeded(
    variables: Mapping[str, str], cores: int, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (available_cores(), available_memory()) == (cores, memory)
