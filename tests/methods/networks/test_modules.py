from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bids_shresnet.methods.networks.modules import load_module, module_arrays
from bids_shresnet.methods.networks.shresnet import load_shresnet
from bids_shresnet.network.shresnet import Architecture

Arrays = dict[str, Any]


def test_a_loaded_module_computes_what_the_stored_one_does() -> None:
    stored = nn.Linear(3, 2)
    loaded = load_module(lambda: nn.Linear(3, 2), module_arrays(stored, "a."), "a.")
    x = torch.ones(1, 3)
    torch.testing.assert_close(loaded(x), stored(x), rtol=0, atol=0)
    assert not loaded.training


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("bias"), "missing or unknown arrays: bias"),
        (lambda arrays: arrays.update(other=np.zeros(2)), "missing or unknown arrays: other"),
        (lambda arrays: arrays.update(bias=np.zeros(3, np.float32)), "bias"),
        (lambda arrays: arrays.update(bias=np.zeros(2, np.float64)), "bias"),
        (lambda arrays: arrays.update(weight=np.zeros((2, 3), np.int32)), "weight"),
    ],
)
def test_other_arrays_are_refused(change: Callable[[Arrays], Any], message: str) -> None:
    arrays = dict(module_arrays(nn.Linear(3, 2)))
    change(arrays)
    with pytest.raises(ValueError, match=message):
        load_module(lambda: nn.Linear(3, 2), arrays)


@pytest.mark.parametrize(
    "changes", [{"hidden": 10**6}, {"resblocks": 10**9}, {"outputs": (1, 10**6)}]
)
def test_a_record_that_asks_for_more_than_its_file_holds_is_refused_without_memory(
    changes: dict[str, Any],
) -> None:
    """The first would take 108 TB, the second centuries."""
    record = {"architecture": {**Architecture().to_record(), **changes}, "head": None}
    with pytest.raises(ValueError, match="arrays"):
        load_shresnet({"network.pre.bias": np.zeros(1, np.float32)}, record)
