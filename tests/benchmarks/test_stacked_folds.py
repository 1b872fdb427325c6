from __future__ import annotations

from benchmarks.stacked_folds import StackedNetworks, compare_losses, make_networks, random_batch


def test_stacked_networks_predict_what_each_network_predicts_alone() -> None:
    assert compare_losses(3, 5, "cpu") < 1e-5


def test_the_loss_of_one_stacked_network_has_no_gradients_in_another() -> None:
    rows, labels = random_batch(2, 4, "cpu")
    stacked = StackedNetworks(make_networks(2, "cpu"))
    (stacked(rows) - labels)[0].square().sum().backward()
    for values in stacked.values:
        assert values.grad is not None
        first, second = values.grad.flatten(1).norm(dim=1).tolist()
        assert first > 0
        assert second == 0
