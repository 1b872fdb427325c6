from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from bids_shresnet.network.error_head import ErrorHead, fit_error_head

OUTPUTS = (1, 5)
VOXELS = 6000
MIN_CORRELATION_ORDER_0 = 0.5  # of one coefficient a voxel
MIN_CORRELATION_ORDER_2 = 0.7  # of five


def random_features(head: ErrorHead, count: int, seed: int) -> Tensor:
    return torch.randn(count, len(head.centre), generator=torch.Generator().manual_seed(seed))


def true_variance(features: Tensor) -> Tensor:
    """That of order 0 depends on one feature, and that of order 2 on another one."""
    return 1e-3 * (0.5 * features[:, :2]).exp()


def draw_squared_errors(features: Tensor, noise: Tensor, seed: int) -> Tensor:
    """Mean over the coefficients of each order of squared differences."""
    deviation = (true_variance(features) + noise).sqrt()
    generator = torch.Generator().manual_seed(seed)
    means = []
    for column, count in enumerate(OUTPUTS):
        drawn = torch.randn(len(features), count, generator=generator)
        means.append((deviation[:, column, None] * drawn).square().mean(1))
    return torch.stack(means, 1)


@pytest.mark.slow
@pytest.mark.parametrize("noise_level", [0.0, 2e-3])
def test_the_variance_is_found_without_the_noise_of_the_labels(noise_level: float) -> None:
    torch.manual_seed(0)
    head = ErrorHead(OUTPUTS)
    features = random_features(head, VOXELS, seed=1)
    noise = torch.full((VOXELS, 2), noise_level)
    fit_error_head(head, features, draw_squared_errors(features, noise, 2), noise, seed=0)
    new = random_features(head, 2000, seed=3)
    with torch.inference_mode():
        found = head.variance(new)
    expected = true_variance(new)
    np.testing.assert_allclose(found.mean(0), expected.mean(0), rtol=0.1)
    for column, least in enumerate((MIN_CORRELATION_ORDER_0, MIN_CORRELATION_ORDER_2)):
        assert np.corrcoef(found[:, column].log(), expected[:, column].log())[0, 1] > least


def test_each_order_and_shell_has_its_own_variance() -> None:
    torch.manual_seed(0)
    head = ErrorHead((1, 5, 9, 1, 5))
    features = random_features(head, 4000, seed=1)
    expected = [1e-3, 4e-3, 2e-3, 5e-3, 3e-3]
    squared = torch.tensor([expected]).expand(4000, 5)
    fit_error_head(head, features, squared, torch.zeros(4000, 5), seed=0)
    with torch.inference_mode():
        found = head.variance(features).mean(0)
    np.testing.assert_allclose(found, expected, rtol=0.1)


def test_a_variance_is_positive_even_where_noise_explains_all_errors() -> None:
    torch.manual_seed(0)
    head = ErrorHead(OUTPUTS)
    features = random_features(head, 500, seed=1)
    noise = torch.full((500, 2), 1e-3)
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
