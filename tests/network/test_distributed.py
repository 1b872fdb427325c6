"""Several processes on this machine train one network; the oracle is one process that does it alone."""

from __future__ import annotations

import os
import socket
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from bids_shresnet.io.storage import read_json, write_json
from bids_shresnet.network.distributed import added_up, agreed, first, joined, share, together
from bids_shresnet.network.shresnet import Architecture, build_shresnet
from bids_shresnet.network.training_loop import fit_network
from bids_shresnet.runtime.torchrun import Place
from bids_shresnet.settings import TrainingConfig
from tests.network.test_training_loop import samples

CONFIG = TrainingConfig(max_epochs=4, adam_batch=16)
VOXELS = 65  # the last batch has one voxel: not all processes get one


def train() -> dict[str, object]:
    """Losses and weights of a short training; the directions of its subjects differ."""
    network = build_shresnet(Architecture((1, 5), resblocks=1, hidden=4), seed=0)
    data, validation = samples(VOXELS, directions=(8, 3)), samples(20, directions=(6, 2), seed=1)
    history = fit_network(network, lambda _: data, validation, CONFIG, seed=3)
    return {
        "training": [epoch.training_loss for epoch in history.epochs],
        "validation": [epoch.validation_loss for epoch in history.epochs],
        "weights": torch.cat([value.flatten() for value in network.state_dict().values()]).tolist(),
    }


def one_of(world: int, rank: int, port: int, folder: Path) -> None:
    """What each process does."""
    torch.set_num_threads(1)
    os.environ.update({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)})
    os.environ.update({"RANK": str(rank), "WORLD_SIZE": str(world)})
    with together(Place(rank, world, rank, world), "cpu"):
        record = train() | {
            "first": first(),
            "agreed": [agreed(rank == 0), agreed(rank != 0)],
            "share": share(torch.arange(5)).tolist(),
            "sum": added_up(rank + 0.5),
        }
    write_json(folder / f"{rank}.json", record)


def run(world: int, folder: Path) -> list[dict[str, object]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = get_context("spawn")
    processes = [
        context.Process(target=one_of, args=(world, rank, port, folder)) for rank in range(world)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
    assert [process.exitcode for process in processes] == [0] * world
    return [read_json(folder / f"{rank}.json") for rank in range(world)]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    return run(2, tmp_path_factory.mktemp("two"))


@pytest.mark.parametrize("name", ["training", "validation", "weights"])
def test_two_processes_train_the_network_that_one_does(
    name: str, two: list[dict[str, object]]
) -> None:
    """But for the order of sums."""
    assert two[0][name] == pytest.approx(train()[name], rel=1e-4, abs=1e-6)


def test_all_processes_have_the_same_weights_and_losses(two: list[dict[str, object]]) -> None:
    for name in ("training", "validation", "weights"):
        assert two[0][name] == two[1][name]


def test_the_first_process_writes_and_decides_and_rows_are_shared_once(
    two: list[dict[str, object]],
) -> None:
    assert [one["first"] for one in two] == [True, False]
    assert [one["agreed"] for one in two] == [[True, False]] * 2
    assert sorted(two[0]["share"] + two[1]["share"]) == [0, 1, 2, 3, 4]
    assert [one["sum"] for one in two] == [2.0, 2.0]


def test_a_process_alone_needs_no_others() -> None:
    with together(Place(), "cpu"):
        assert not joined()
        assert first()
        assert [agreed(True), agreed(False)] == [True, False]
        assert share(torch.arange(3)).tolist() == [0, 1, 2]
        assert added_up(0.1) == 0.1
