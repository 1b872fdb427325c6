from __future__ import annotations

import json
from pathlib import Path

import torch

from bids_shresnet.network.checkpoint import load, read_record, to_bytes
from bids_shresnet.network.shresnet import Architecture, SHResNet, build

SMALL = Architecture((1, 5), resblocks=1, hidden=4)
RECORD = {"inputs": "abc", "best": 3, "epochs": [{"epoch": 0, "stage": "adam", "learning_rate": 0.001}], "name": "é"}


def written(network: SHResNet, folder: Path) -> Path:
    path = folder / "fold-01.safetensors"
    path.write_bytes(to_bytes(network, RECORD))
    return path


def test_a_network_read_back_predicts_the_same(tmp_path: Path) -> None:
    network = build(SMALL, seed=1)
    torch.nn.init.normal_(network.blocks[0].last[1].weight)
    patches = torch.randn(5, 6, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    again = load(str(written(network, tmp_path)))
    assert torch.equal(again(patches), network(patches))
    assert again.architecture == SMALL
    assert not again.training


def test_the_record_comes_back_with_the_architecture_added(tmp_path: Path) -> None:
    record = read_record(str(written(build(SMALL, seed=1), tmp_path)))
    assert record.pop("architecture") == {"outputs": [1, 5], "resblocks": 1, "hidden": 4}
    assert record == RECORD


def test_equal_networks_and_records_give_equal_bytes() -> None:
    backwards = dict(reversed(RECORD.items()))
    assert to_bytes(build(SMALL, seed=1), RECORD) == to_bytes(build(SMALL, seed=1), backwards)


def test_the_bytes_are_safetensors_and_no_pickle() -> None:
    """Length of the header (8 bytes), a JSON header, then the numbers it lists and nothing else."""
    network = build(SMALL, seed=1)
    content = to_bytes(network, RECORD)
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__")
    assert set(header) == set(network.state_dict())
    numbers = sum(parameter.numel() for parameter in network.parameters())
    assert len(content) == 8 + length + 4 * numbers
