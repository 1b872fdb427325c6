"""The state of an unfinished training on disk, from which the next run resumes."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from pickle import UnpicklingError

import torch

from bids_shresnet.io.storage import write_bytes
from bids_shresnet.network.schedules import TrainingState

logger = logging.getLogger(__name__)


def write_state(path: Path, state: TrainingState, inputs_digest: str) -> None:
    """Write a state with the digest of everything that the training depends on."""
    buffer = io.BytesIO()
    torch.save({"inputs": inputs_digest, "state": dict(state)}, buffer)
    write_bytes(path, buffer.getvalue())


def read_state(path: Path, inputs_digest: str) -> TrainingState | None:
    """Read the state of a training; None if there is none, or it has other inputs or is damaged."""
    if not path.exists():
        return None
    try:
        record = torch.load(path, map_location="cpu", weights_only=True)
    except (EOFError, RuntimeError, UnpicklingError) as error:
        logger.warning("%s is damaged, training starts at its first epoch: %s", path, error)
        return None
    state: TrainingState = record["state"]
    return state if record["inputs"] == inputs_digest else None
