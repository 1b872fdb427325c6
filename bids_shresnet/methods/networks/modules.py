"""Arrays of a torch module: stored, and loaded as the untrusted content that they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from bids_shresnet.methods.harmonizer import Arrays

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def module_arrays(module: nn.Module, prefix: str = "") -> dict[str, np.ndarray]:
    """Return all arrays of a module by `prefix` and name."""
    return {prefix + name: value.cpu().numpy() for name, value in module.state_dict().items()}


def load_module(build: Callable[[], ModuleT], arrays: Arrays, prefix: str = "") -> ModuleT:
    """Build a module and give it its arrays.

    A record may ask for any size. So the module is built without memory for its arrays, which it
    then takes from the file.

    Raises
    ------
    ValueError
        If an array is missing or unknown, or is not float32 of the module's shape.
    """
    state = {
        name.removeprefix(prefix): torch.tensor(value)
        for name, value in arrays.items()
        if name.startswith(prefix)
    }
    with torch.device("meta"):
        module = build()
    _check_state(state, module.state_dict())
    module.load_state_dict(state, assign=True)
    return module.eval()


def _check_state(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    if state.keys() != expected.keys():
        names = ", ".join(sorted(state.keys() ^ expected.keys()))
        msg = f"missing or unknown arrays: {names}"
        raise ValueError(msg)
    for name, value in state.items():
        if value.dtype != torch.float32 or value.shape != expected[name].shape:
            shapes = f"{tuple(value.shape)}, expected float32 of {tuple(expected[name].shape)}"
            msg = f"the array {name} is {value.dtype} of {shapes}"
            raise ValueError(msg)
