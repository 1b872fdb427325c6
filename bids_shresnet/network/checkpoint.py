"""What was learned as bytes: arrays in safetensors, and in the header the record that tells what they are.

The state of a training, nested as torch has it, becomes the same two things and back: nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped

from bids_shresnet.io.safetensors import read_arrays, read_record, serialize_arrays
from bids_shresnet.network.schedules import TrainingState

TENSOR_KEY, ITEMS_KEY = (
    "tensor",
    "items",
)  # of a record of a state: the array that stands here; a mapping, whatever its keys


def state_to_bytes(state: TrainingState, inputs_digest: str) -> bytes:
    """A state with the digest of what the training depends on."""
    arrays: dict[str, Shaped[np.ndarray, "..."]] = {}
    record = flatten_state(state, arrays)
    return serialize_arrays(arrays, {"inputs": inputs_digest, "state": record})


def read_state(path: str, inputs_digest: str) -> TrainingState | None:
    """The state that is there; None if it is that of another training."""
    record = read_record(path)
    state: TrainingState = unflatten_state(read_arrays(path), record["state"])
    return state if record["inputs"] == inputs_digest else None


def unflatten_state(arrays: Mapping[str, Shaped[np.ndarray, "..."]], record: Any) -> Any:
    """The inverse of `flatten_state`; tuples come back as lists."""
    if isinstance(record, list):
        return [unflatten_state(arrays, item) for item in record]
    if isinstance(record, dict) and TENSOR_KEY in record:
        return torch.from_numpy(arrays[record[TENSOR_KEY]])
    if isinstance(record, dict):
        return {key: unflatten_state(arrays, item) for key, item in record[ITEMS_KEY]}
    return record


def flatten_state(state: Any, arrays: dict[str, Shaped[np.ndarray, "..."]]) -> Any:
    """Move the tensors of a state into `arrays`, and return the record of the rest, as plain JSON."""
    if isinstance(state, torch.Tensor):
        name = str(len(arrays))
        arrays[name] = state.detach().cpu().numpy()
        return {TENSOR_KEY: name}
    if isinstance(state, Mapping):
        return {ITEMS_KEY: [[key, flatten_state(item, arrays)] for key, item in state.items()]}
    if isinstance(state, list | tuple):
        return [flatten_state(item, arrays) for item in state]
    return state
