from __future__ import annotations

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from bids_shresnet.network.golkov import GolkovArchitecture, GolkovNetwork, build_golkov


def patches(channels: int, count: int = 4) -> Float[Tensor, "b c 3 3 3"]:
    return torch.randn(count, channels, 3, 3, 3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("channels", "hidden", "layers"), [(15, 150, 3), (6, 4, 1), (21, 7, 2)])
def test_parameters_are_those_of_the_layers_counted_one_by_one(
    channels: int, hidden: int, layers: int
) -> None:
    network = GolkovNetwork(GolkovArchitecture(channels, hidden, layers))
    ends = (channels + 1) * hidden + (hidden + 1) * channels
    between = (layers - 1) * (hidden + 1) * hidden
    assert sum(parameter.numel() for parameter in network.parameters()) == ends + between


def test_the_papers_network_has_three_hidden_layers_of_150() -> None:
    """Golkov et al. 2016: three fully connected hidden layers of 150 units."""
    architecture = build_golkov(GolkovArchitecture(15), seed=0).architecture
    assert (architecture.layers, architecture.hidden) == (3, 150)


def test_only_the_coefficients_of_the_centre_of_a_patch_are_used() -> None:
    network = build_golkov(GolkovArchitecture(6), seed=0).eval()
    x = patches(7)
    other = patches(7) + 1
    other[:, :6, 1, 1, 1] = x[:, :6, 1, 1, 1]
    assert torch.equal(network(other), network(x))
    other[:, 3, 1, 1, 1] += 1
    assert not torch.equal(network(other), network(x))


def test_a_prediction_is_matrices_with_relu_between_them() -> None:
    network = build_golkov(GolkovArchitecture(6, hidden=5, layers=2), seed=0).eval()
    x = patches(6)
    *hidden, last = [part for part in network.layers if isinstance(part, torch.nn.Linear)]
    assert len(hidden) == 2
    expected = x[:, :, 1, 1, 1]
    for layer in hidden:
        expected = (expected @ layer.weight.T + layer.bias).clamp_min(0)
    torch.testing.assert_close(network(x), expected @ last.weight.T + last.bias)


def test_units_are_dropped_in_training_alone() -> None:
    network = build_golkov(GolkovArchitecture(6), seed=0)
    x = patches(6)
    assert not torch.equal(network.train()(x), network(x))
    assert torch.equal(network.eval()(x), network(x))


def test_a_seed_decides_all_weights_and_leaves_the_callers_random_numbers_alone() -> None:
    state = torch.random.get_rng_state()
    weights = build_golkov(GolkovArchitecture(6), seed=1).state_dict()
    same = build_golkov(GolkovArchitecture(6), seed=1).state_dict()
    other = build_golkov(GolkovArchitecture(6), seed=2).state_dict()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    assert not torch.equal(weights["layers.0.weight"], other["layers.0.weight"])


def test_a_record_rebuilds_its_architecture() -> None:
    architecture = GolkovArchitecture(21, hidden=30, layers=2, dropout=0.2)
    assert GolkovArchitecture(**architecture.to_record()) == architecture
