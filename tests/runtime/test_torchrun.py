from __future__ import annotations

import pytest

from bids_shresnet.runtime.torchrun import Place
from bids_shresnet.runtime.workers import Workers

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "x",
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
}


def test_torchrun_says_which_process_this_is() -> None:
    place = Place.here(TORCHRUN)
    assert place == Place(rank=5, world=8, local=1, beside=4)
    assert place.shared
    assert not place.first


@pytest.mark.parametrize("lacking", TORCHRUN)
def test_without_all_that_torchrun_says_a_process_is_alone(lacking: str) -> None:
    """Also where a scheduler or another launcher leaves RANK or WORLD_SIZE in the environment."""
    place = Place.here({name: value for name, value in TORCHRUN.items() if name != lacking})
    assert place == Place()
    assert place.first
    assert not place.shared


def test_processes_that_train_together_share_the_machines_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bids_shresnet.runtime.workers.available_cores", lambda: 8)
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert (Workers.from_limits(None, None).processes, Workers.from_limits(None, None).threads) == (
        1,
        2,
    )
    assert (Workers.from_limits(6, 3).processes, Workers.from_limits(6, 3).threads) == (1, 3)
