"""A trained network as bytes: weights in safetensors, and in its header the record that tells what it is."""

from __future__ import annotations

import json
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from bids_shresnet.network.shresnet import Architecture, SHResNet

RECORD = "record"


def to_bytes(network: SHResNet, record: dict[str, Any]) -> bytes:
    """Weights with a record of plain JSON; the architecture is added to it."""
    header = {**record, "architecture": network.architecture.to_record()}
    weights: dict[str, Tensor] = {name: value.contiguous() for name, value in network.state_dict().items()}
    return save(weights, metadata={RECORD: json.dumps(header, sort_keys=True)})


def read_record(path: str) -> dict[str, Any]:
    """The record alone: a few hundred bytes, whatever the network's size."""
    with safe_open(path, framework="pt") as file:
        record: dict[str, Any] = json.loads(file.metadata()[RECORD])
    return record


def load(path: str, *, device: str = "cpu") -> SHResNet:
    """The network, ready to predict."""
    network = SHResNet(Architecture.from_record(read_record(path)["architecture"]))
    with safe_open(path, framework="pt") as file:
        network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (not a mapping)
    return network.to(device).eval()
