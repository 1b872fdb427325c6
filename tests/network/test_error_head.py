from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from bids_shresnet.network.error_head import ErrorHead, fit_error_head

OUTPUTS = (1, 5)
VOXELS = 6000


def random_features(head: ErrorHead, count: int, seed: int) -> Tensor:
    return torch.randn(count, len(head.centre), generator=torch.Generator().manual_seed(seed))


def true_variance(features: Tensor) -> Tensor:
    """It depends on one feature."""
    return 1e-3 * (0.5 * features[:, :1]).exp()


def draw_squared_errors(features: Tensor, noise: Tensor, directions: int, seed: int) -> Tensor:
    """Mean over directions of squared differences of measurement and prediction."""
    deviation = (true_variance(features) + noise).sqrt()
    generator = torch.Generator().manual_seed(seed)
    errors = deviation * torch.randn(len(features), directions, generator=generator)
    return errors.square().mean(1, keepdim=True)


@pytest.mark.slow
@pytest.mark.parametrize("noise_level", [0.0, 2e-3])
def test_the_variance_is_found_without_the_noise_of_the_labels(noise_level: float) -> None:
    torch.manual_seed(0)
    head = ErrorHead(OUTPUTS)
    features = random_features(head, VOXELS, seed=1)
    noise = torch.full((VOXELS, 1), noise_level)
    fit_error_head(head, features, draw_squared_errors(features, noise, 20, 2), noise, seed=0)
    new = random_features(head, 2000, seed=3)
    with torch.inference_mode():
        found = head.variance(new)
    expected = true_variance(new)
    assert float(found.mean() / expected.mean()) == pytest.approx(1, abs=0.1)
    assert np.corrcoef(found[:, 0].log(), expected[:, 0].log())[0, 1] > 0.85


def test_each_shell_has_its_own_variance() -> None:
    torch.manual_seed(0)
    head = ErrorHead((1, 5, 9, 1, 5))
    features = random_features(head, 500, seed=1)
    squared = torch.tensor([[1e-3, 4e-3]]).expand(500, 2)
    fit_error_head(head, features, squared, torch.zeros(500, 1), seed=0)
    with torch.inference_mode():
        found = head.variance(features).mean(0)
    np.testing.assert_allclose(found, [1e-3, 4e-3], rtol=0.1)


def test_a_variance_is_positive_even_where_noise_explains_all_errors() -> None:
    torch.manual_seed(0)
    head = ErrorHead(OUTPUTS)
    features = random_features(head, 500, seed=1)
    noise = torch.full((500, 1), 1e-3)
    fit_error_head(head, features, 0.5 * noise, noise, seed=0)
    with torch.inference_mode():
        assert (head.variance(10 * features) > 0).all()


def test_the_variance_does_not_depend_on_the_pose_of_the_head() -> None:
    """Features are lengths: a rotation of coefficients of an order changes nothing."""
    torch.manual_seed(0)
    head = ErrorHead(OUTPUTS)
    patches = torch.randn(50, 27, 7)
    predicted = torch.randn(50, 6)
    rotation, _ = torch.linalg.qr(torch.randn(5, 5))
    turned = patches.clone()
    turned[..., 1:6] = patches[..., 1:6] @ rotation
    turned_prediction = predicted.clone()
    turned_prediction[:, 1:] = predicted[:, 1:] @ rotation
    with torch.inference_mode():
        torch.testing.assert_close(
            head(turned, turned_prediction), head(patches, predicted), rtol=1e-4, atol=1e-6
        )
