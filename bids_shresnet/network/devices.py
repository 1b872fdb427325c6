"""The device that networks run on, checked before any work."""

from __future__ import annotations

import logging

import torch

from bids_shresnet.errors import UsageError

logger = logging.getLogger(__name__)


def select_device(name: str) -> str:
    """Return `cpu`, `cuda` or `cuda:N` as requested. `auto` is the GPU if there is one.

    Raises
    ------
    UsageError
        If there is no such device.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        logger.info("networks run on %s", "the GPU" if count else "the CPU: torch finds no GPU")
        return "cuda" if count else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= count:
        reason = f"torch {torch.__version__} finds {count or 'no'} GPU{'s' * (count > 1)}"
        remedy = (
            "in a container, pass the GPU on (docker --gpus all, apptainer --nv), "
            "or use --device cpu"
        )
        msg = f"--device {name}: {reason}; {remedy}"
        raise UsageError(msg)
    return name
