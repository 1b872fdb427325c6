"""What this job may use of the machine: the least of what the system, its container and its scheduler say."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")  # where Linux shows its control groups, by which containers and schedulers limit jobs
OWN = Path("/proc/self/cgroup")  # which of them this process is in, a line `number:controllers:path` a hierarchy
MB = 2**20


def available_cores() -> int:
    """Cores: the affinity of this process, the quotas of its control groups, and what Slurm granted."""
    cores = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    for group in _groups("cpu"):
        quota, _, period = _content(group / "cpu.max").partition(" ")  # version 2
        quota, period = quota or _content(group / "cpu.cfs_quota_us"), period or _content(group / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit():  # not "max", not -1
            cores.append(int(quota) // int(period))
    cores += _granted(os.environ, "SLURM_CPUS_PER_TASK") or _granted(os.environ, "SLURM_CPUS_ON_NODE")
    return max(1, min(cores))


def available_memory() -> int:
    """Bytes: the machine's memory, the limits of this process's control groups, and what Slurm granted."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for group in _groups("memory"):
        contents = [_content(group / name) for name in ("memory.max", "memory.limit_in_bytes")]  # versions 2 and 1
        limits += [int(content) for content in contents if content.isdigit()]
    limits += [MB * megabytes for megabytes in _granted(os.environ, "SLURM_MEM_PER_NODE")]
    limits += [MB * available_cores() * megabytes for megabytes in _granted(os.environ, "SLURM_MEM_PER_CPU")]
    return min(limits)


def peak_memory() -> int:
    """Bytes that this process, or one that it started and that has ended, held at most."""
    usage = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return 1024 * max(usage)  # on Linux in KiB


def _granted(environment: Mapping[str, str], name: str) -> list[int]:
    """What a scheduler's variable says; 0 means no limit."""
    value = environment.get(name, "")
    return [int(value)] if value.isdigit() and int(value) else []


def _groups(controller: str) -> Iterator[Path]:
    """Folders of this process's control groups, up to the root: a group has no more than those above it.

    Inside a container the path is often the one outside, which is not there; then the root is the container's own.
    """
    for line in _content(OWN).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            root = CGROUPS / controller if controllers else CGROUPS  # version 1 has a tree a controller
            group = root / path.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(root))
    yield from (CGROUPS, CGROUPS / controller)


def _content(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
