"""Cores and memory that this process may use: the least that machine, container and Slurm grant."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

# Containers and schedulers limit jobs by control groups. Linux shows them in a folder.
CGROUP_ROOT = Path("/sys/fs/cgroup")
# The groups of this process: one line `number:controllers:path` per hierarchy
OWN_CGROUP_FILE = Path("/proc/self/cgroup")
MB = 2**20
GB = 2**30


def available_cores() -> int:
    """Return the number of cores, at least one.

    `joblib.cpu_count` would do for containers, but reads no nested control groups, and not Slurm's
    variables.
    """
    limits = [_affinity(), *_cgroup_cores()]
    limits += _slurm_limit("SLURM_CPUS_PER_TASK") or _slurm_limit("SLURM_CPUS_ON_NODE")
    return max(1, min(limits))


def available_memory() -> int:
    """Return the memory in bytes."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_cgroup_memory()]
    limits += [MB * megabytes for megabytes in _slurm_limit("SLURM_MEM_PER_NODE")]
    limits += [
        MB * megabytes * available_cores() for megabytes in _slurm_limit("SLURM_MEM_PER_CPU")
    ]
    return min(limits)


def peak_memory() -> int:
    """Return the most memory in bytes that this process or one of its ended children used."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1024 * max(own.ru_maxrss, children.ru_maxrss)  # on Linux in KiB


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroup_cores() -> Iterator[int]:
    """Yield the quotas in whole cores; "max" and -1 mean none."""
    for group in _cgroup_folders("cpu"):
        quota, _, period = _read_content(group / "cpu.max").partition(" ")  # version 2
        quota = quota or _read_content(group / "cpu.cfs_quota_us")
        period = period or _read_content(group / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit():
            yield int(quota) // int(period)


def _cgroup_memory() -> Iterator[int]:
    """Yield the limits in bytes; "max" means none."""
    for group in _cgroup_folders("memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):  # versions 2 and 1
            content = _read_content(group / name)
            if content.isdigit():
                yield int(content)


def _slurm_limit(variable: str) -> list[int]:
    """Return the number in a variable of Slurm, or none; 0 means no limit."""
    value = os.environ.get(variable, "")
    return [int(value)] if value.isdigit() and int(value) else []


def _cgroup_folders(controller: str) -> Iterator[Path]:
    """Yield the control groups of this process up to the root, as each limits those below it.

    Inside a container the path is often the one outside, which does not exist there; then the root
    is the container's own group.
    """
    for line in _read_content(OWN_CGROUP_FILE).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            yield from _up_to(CGROUP_ROOT, path)
        elif controller in controllers.split(","):  # version 1 has one tree per controller
            yield from _up_to(CGROUP_ROOT / controller, path)
    yield CGROUP_ROOT
    yield CGROUP_ROOT / controller


def _up_to(root: Path, path: str) -> Iterator[Path]:
    group = root / path.lstrip("/")
    return (folder for folder in (group, *group.parents) if folder.is_relative_to(root))


def _read_content(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""
