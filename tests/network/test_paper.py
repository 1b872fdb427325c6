"""What --paper does, compared with the paper's words written down once more."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bids_shresnet.methods.networks.shresnet import make_architecture
from bids_shresnet.network.shresnet import SHResNet, build_shresnet
from bids_shresnet.network.training_loop import Samples, fit_network
from bids_shresnet.settings import PAPER_NETWORK, PAPER_TRAINING
from tests.network.paper import PaperData, PaperNetwork, train_as_in_the_paper
from tests.network.samples import random_samples

SEED = 5
ORDERS = (1, 5)  # orders 0 and 2: a small network


def to_paper(network: SHResNet) -> PaperNetwork:
    """The paper's network with the same weights."""
    architecture = network.architecture
    paper = PaperNetwork(architecture.outputs, architecture.resblocks, architecture.hidden)
    paper.load_state_dict(network.state_dict())
    return paper


def to_data(samples: Samples) -> PaperData:
    """The same voxels as patches; the paper's network does not see the contrast."""
    patches = samples.patches.float().reshape(-1, 3, 3, 3, samples.patches.shape[2])
    coefficients = patches.permute(0, 4, 1, 2, 3)[:, : samples.matrices.shape[2]]
    return PaperData(coefficients, samples.signal.float(), samples.matrices[0])


def fill(network: SHResNet) -> None:
    """Give all weights values, also those that start at zero."""
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)


def test_the_network_is_that_of_the_paper() -> None:
    network = SHResNet(make_architecture((1, 5, 9), PAPER_NETWORK))
    fill(network)
    patches = torch.randn(4, 15, 3, 3, 3, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(network(patches), to_paper(network)(patches), rtol=1e-4, atol=1e-4)


def test_the_batches_and_the_voxels_are_those_of_the_paper() -> None:
    assert (PAPER_TRAINING.adam_batch, PAPER_TRAINING.sgd_batch) == (256, 128)
    assert PAPER_TRAINING.voxels_per_epoch == 0  # all
    assert PAPER_NETWORK.resblocks == 2


@pytest.mark.slow
def test_the_training_is_that_of_the_paper_and_ends_after_11_epochs_without_progress() -> None:
    network = build_shresnet(make_architecture(ORDERS, PAPER_NETWORK), seed=0)
    paper = to_paper(network)
    training = random_samples(40, seed=3)
    validation = random_samples(20, seed=4)
    validation = replace(validation, matrices=training.matrices)
    config = replace(PAPER_TRAINING, adam_batch=16, sgd_batch=8)
    history = fit_network(network, lambda _: training, validation, config, seed=SEED)
    course = train_as_in_the_paper(
        paper,
        to_data(training),
        to_data(validation),
        adam_batch=16,
        sgd_batch=8,
        shuffle=torch.Generator().manual_seed(SEED),
    )
    epochs = history.epochs
    assert [epoch.stage for epoch in epochs] == course.optimizers
    assert [epoch.learning_rate for epoch in epochs] == pytest.approx(course.rates)
    assert len(set(course.rates)) > 2  # the rate falls several times
    assert [epoch.validation_loss for epoch in epochs] == pytest.approx(course.losses, rel=1e-4)
    assert len(epochs) == history.best_epoch + 1 + 11 < PAPER_TRAINING.max_epochs
    weights = network.state_dict()
    for name, expected in paper.state_dict().items():
        torch.testing.assert_close(weights[name], expected, rtol=1e-3, atol=1e-4)
