from __future__ import annotations

import pytest
import torch

from benchmarks.training import literal_step, measure, measure_all, our_step, paper_networks
from bids_shresnet.network.patches import rows_to_patches


def test_the_literal_loop_takes_the_steps_that_the_training_takes() -> None:
    """One batch with the same directions for all voxels: both networks stay equal."""
    network, literal = paper_networks()
    patches = rows_to_patches(torch.randn(3, 27, 15))
    torch.testing.assert_close(network(patches), literal(patches), rtol=1e-4, atol=1e-4)
    ours = our_step(network, 8, subjects=1)
    theirs = literal_step(literal, 8)
    for _ in range(2):
        ours()
        theirs()
    torch.testing.assert_close(network(patches), literal(patches), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(network(patches), paper_networks()[0](patches), rtol=1e-2)


def test_a_way_is_measured_after_a_warm_up_and_in_turn_with_the_others() -> None:
    calls: list[str] = []
    seconds = measure({"one": lambda: calls.append("one"), "two": lambda: calls.append("two")}, 3)
    assert calls == ["one", "two"] * 4
    assert set(seconds) == {"one", "two"}
    assert all(value >= 0 for value in seconds.values())


@pytest.mark.slow
def test_the_reference_of_every_task_is_the_literal_loop() -> None:
    threads = torch.get_num_threads()
    rows = measure_all([threads], repeats=1)
    assert {row["ratio"] for row in rows if row["way"] == "literal loop"} == {1.0}
    assert torch.get_num_threads() == threads
