"""What this job may use of the machine: the least of what the system, its container and its scheduler say."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

CGROUP_ROOT = Path(
    "/sys/fs/cgroup"
)  # where Linux shows its control groups, by which containers and schedulers limit jobs
OWN_CGROUP_FILE = Path(
    "/proc/self/cgroup"
)  # which of them this process is in, a line `number:controllers:path` a hierarchy
MB = 2**20


def available_cores() -> int:
    """Cores: the affinity of this process, the quotas of its control groups, and what Slurm granted."""
    cores = [
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ]
    for group in _cgroup_folders("cpu"):
        quota, _, period = _read_content(group / "cpu.max").partition(" ")  # version 2
        quota, period = (
            quota or _read_content(group / "cpu.cfs_quota_us"),
            period or _read_content(group / "cpu.cfs_period_us"),
        )
        if quota.isdigit() and period.isdigit():  # not "max", not -1
            cores.append(int(quota) // int(period))
    cores += _scheduler_limit(os.environ, "SLURM_CPUS_PER_TASK") or _scheduler_limit(
        os.environ, "SLURM_CPUS_ON_NODE"
    )
    return max(1, min(cores))


def available_memory() -> int:
    """Bytes: the machine's memory, the limits of this process's control groups, and what Slurm granted."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for group in _cgroup_folders("memory"):
        contents = [
            _read_content(group / name) for name in ("memory.max", "memory.limit_in_bytes")
        ]  # versions 2 and 1
        limits += [int(content) for content in contents if content.isdigit()]
    limits += [MB * megabytes for megabytes in _scheduler_limit(os.environ, "SLURM_MEM_PER_NODE")]
    limits += [
        MB * available_cores() * megabytes
        for megabytes in _scheduler_limit(os.environ, "SLURM_MEM_PER_CPU")
    ]
    return min(limits)


def peak_memory() -> int:
    """Bytes that this process, or one that it started and that has ended, held at most."""
    usage = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return 1024 * max(usage)  # on Linux in KiB


def _scheduler_limit(environment: Mapping[str, str], name: str) -> list[int]:
    """What a scheduler's variable says; 0 means no limit."""
    value = environment.get(name, "")
    return [int(value)] if value.isdigit() and int(value) else []


def _cgroup_folders(controller: str) -> Iterator[Path]:
    """Folders of this process's control groups, up to the root: a group has no more than those above it.

    Inside a container the path is often the one outside, which is not there; then the root is the container's own.
    """
    for line in _read_content(OWN_CGROUP_FILE).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            root = (
                CGROUP_ROOT / controller if controllers else CGROUP_ROOT
            )  # version 1 has a tree a controller
            group = root / path.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(root))
    yield from (CGROUP_ROOT, CGROUP_ROOT / controller)


def _read_content(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
