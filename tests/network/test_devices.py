from __future__ import annotations

import pytest
import torch

from bids_shresnet.errors import UsageError
from bids_shresnet.network.devices import select_device


@pytest.mark.parametrize(
    ("gpus", "asked", "expected"),
    [
        (0, "cpu", "cpu"),
        (0, "auto", "cpu"),
        (2, "auto", "cuda"),
        (2, "cuda", "cuda"),
        (2, "cuda:1", "cuda:1"),
    ],
)
def test_a_device_that_is_there_is_used_and_auto_is_the_gpu_if_there_is_one(
    gpus: int, asked: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert select_device(asked) == expected


@pytest.mark.parametrize(("gpus", "asked"), [(0, "cuda"), (0, "cuda:0"), (1, "cuda:1")])
def test_a_device_that_is_not_there_is_named_with_the_remedy(
    gpus: int, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(UsageError, match=f"--device {asked}: .*--gpus all.*--nv"):
        select_device(asked)
