from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bids_shresnet.errors import BadInput
from bids_shresnet.io.safetensors import (
    check_arrays,
    read_arrays,
    read_record,
    serialize_arrays,
)
from bids_shresnet.network.shresnet import Architecture, SHResNet, build_shresnet

SMALL = Architecture((1, 5), resblocks=1, hidden=4)
RECORD = {
    "inputs": "abc",
    "best": 3,
    "epochs": [{"epoch": 0, "stage": "adam", "learning_rate": 0.001}],
    "name": "é",
}
ARRAYS: dict[str, np.ndarray] = {
    "weights": np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32),
    "transposed": np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),  # not in memory order
    "mask": np.array([True, False, True]),
    "number": np.array(7),
    "none": np.zeros((0, 5), np.float32),
}


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "fold-01.safetensors"
    path.write_bytes(serialize_arrays(ARRAYS, RECORD))
    arrays = read_arrays(path)
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array, strict=True)


def test_a_network_read_back_predicts_the_same(tmp_path: Path) -> None:
    network = build_shresnet(SMALL, seed=1)
    block: Any = network.blocks[0]
    torch.nn.init.normal_(block.units[1].last.weight)
    path = tmp_path / "network.safetensors"
    path.write_bytes(
        serialize_arrays({name: value.numpy() for name, value in network.state_dict().items()}, {})
    )
    again = SHResNet(SMALL)
    again.load_state_dict({name: torch.tensor(value) for name, value in read_arrays(path).items()})
    patches = torch.randn(5, 6, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again(patches), network(patches))


@pytest.mark.parametrize("arrays", [ARRAYS, {}], ids=["arrays", "no arrays"])
def test_the_record_comes_back(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    path.write_bytes(serialize_arrays(arrays, RECORD))
    assert read_record(path) == RECORD
    assert read_arrays(path).keys() == arrays.keys()


def test_equal_arrays_and_records_give_equal_bytes_in_any_order() -> None:
    arrays = dict(reversed(ARRAYS.items()))
    record = dict(reversed(RECORD.items()))
    assert serialize_arrays(ARRAYS, RECORD) == serialize_arrays(arrays, record)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([0.0, np.nan]), "values that are not finite"),
        (np.array([[1.0], [-np.inf]], np.float32), "values that are not finite"),
        (np.array([1, 2]), "is of type int64"),
        (np.array([1, 2], np.float16), "is of type float16"),
    ],
)
def test_one_array_that_is_no_finite_floating_point_number_is_named(
    array: np.ndarray, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "fold-01.safetensors"
    path.write_bytes(serialize_arrays({"good": np.ones(3)}, RECORD))
    check_arrays(path)
    path.write_bytes(serialize_arrays({"good": np.ones(3), "odd": array}, RECORD))
    with pytest.raises(BadInput, match=f"the array odd .*{words}"):
        check_arrays(path)


def test_the_bytes_are_safetensors_and_no_pickle() -> None:
    """Length of the header (8 bytes), a JSON header, then the numbers it lists and nothing else."""
    content = serialize_arrays(ARRAYS, RECORD)
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__")
    assert set(header) == set(ARRAYS)
    assert len(content) == 8 + length + sum(array.nbytes for array in ARRAYS.values())
