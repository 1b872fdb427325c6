"""What a bug report should say about the machine: versions, cores, memory and limits."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from bids_shresnet.runtime.resources import GB, available_cores, available_memory
from bids_shresnet.version import __version__

CPU_FILE = Path("/proc/cpuinfo")
GPU_FOLDER = Path("/proc/driver/nvidia/gpus")
REPORTED_VARIABLES = (
    "OMP_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "SHRESNET_DOCKER_TAG",
    "SLURM_CPUS_PER_TASK",
    "SLURM_CPUS_ON_NODE",
    "SLURM_MEM_PER_NODE",
    "SLURM_MEM_PER_CPU",
)


def describe_environment() -> str:
    """Return a block for bug reports, with neither names of users nor paths."""
    from bids_shresnet.outputs.sidecars import package_versions  # numpy, for no other question

    versions = [f"{name} {number}" for name, number in package_versions().items()]
    gpus = len(list(GPU_FOLDER.glob("*"))) if GPU_FOLDER.is_dir() else 0
    lines = {
        "system": f"{platform.platform()}, {platform.machine()}",
        "processor": f"{_read_cpu_model()}, {os.cpu_count()} cores",
        "granted": f"{available_cores()} cores, {available_memory() / GB:.1f} GB of memory",
        "GPUs": f"{gpus} with an NVIDIA driver",
        **_describe_surroundings(),
        "versions": ", ".join(versions),
    }
    described = [f"{name}: {text}\n" for name, text in lines.items()]
    return "".join([f"bids_shresnet {__version__}\n", *described])


def _describe_surroundings() -> dict[str, str]:
    """Return the container and the variables that set resources."""
    image = os.environ.get("APPTAINER_CONTAINER") or os.environ.get("SINGULARITY_NAME")
    variables = [f"{name}={os.environ[name]}" for name in REPORTED_VARIABLES if name in os.environ]
    return {
        "container": Path(image).name if image else "none, or Docker",
        "variables": " ".join(variables) or "none",
    }


def _read_cpu_model() -> str:
    """Return the name that the kernel gives the processor; empty if it gives none."""
    lines = CPU_FILE.read_text(encoding="utf-8").splitlines() if CPU_FILE.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
