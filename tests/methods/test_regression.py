from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.methods import regression
from bids_shresnet.methods.regression import fit_ridge, fit_target_coefficients
from bids_shresnet.pairs import TravellingSubject
from tests.methods.heads import head, travelling

SMALL = (8, 8, 8)


@pytest.fixture(scope="module")
def subjects() -> list[TravellingSubject]:
    return [
        travelling(head(seed, SMALL), directions, sigma=0.02)
        for seed, directions in ((1, 12), (2, 9), (3, 7))
    ]


def design(subjects: list[TravellingSubject], channels: int) -> Float[np.ndarray, "v f"]:
    """Patches as rows, and a column of ones."""
    rows = [subject.matched.patches[..., :channels].astype(np.float64) for subject in subjects]
    flat = np.concatenate(rows).reshape(-1, 27 * channels)
    return np.concatenate([flat, np.ones((len(flat), 1))], axis=1)


def least_squares(
    matrix: Float[np.ndarray, "v f"], values: Float[np.ndarray, "v c"]
) -> Float[np.ndarray, "f c"]:
    solution, *_ = np.linalg.lstsq(matrix, values, rcond=None)
    return np.asarray(solution)


def test_labels_are_the_least_squares_fit_to_the_measured_signal(
    subjects: list[TravellingSubject],
) -> None:
    matched = subjects[0].matched
    expected = least_squares(matched.sh_matrix.astype(float), matched.signal.T.astype(float)).T
    np.testing.assert_allclose(fit_target_coefficients(matched), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        fit_target_coefficients(matched, np.array([3, 8])), expected[[3, 8]], rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("channels", [6, 7], ids=["coefficients", "and contrast"])
def test_ridge_is_numpys_least_squares_with_a_tiny_penalty(
    subjects: list[TravellingSubject], channels: int
) -> None:
    weights, offset = fit_ridge(subjects, channels)
    features = design(subjects, channels)
    labels = [fit_target_coefficients(subject.matched) for subject in subjects]
    target = np.concatenate(labels).astype(float)
    per_feature = np.sqrt(regression.RIDGE_PENALTY_PER_VOXEL * len(features))
    penalty = per_feature * np.eye(features.shape[1])[:-1]  # all but the offset
    expected = least_squares(
        np.concatenate([features, penalty]), np.concatenate([target, np.zeros((len(penalty), 6))])
    )
    fitted = np.concatenate([weights, offset[None]])
    np.testing.assert_allclose(features @ fitted, features @ expected, atol=2e-3)
    without_penalty = least_squares(features, target)
    residual = np.square(features @ fitted - target).sum()
    smallest = np.square(features @ without_penalty - target).sum()
    assert residual == pytest.approx(smallest, rel=0.01)


@pytest.mark.parametrize("rows", [1, 50, 216])
def test_sums_are_the_same_wherever_chunks_end(
    rows: int, subjects: list[TravellingSubject], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, offset = fit_ridge(subjects, 6)
    monkeypatch.setattr(regression, "ROWS_PER_CHUNK", rows)
    chunked_weights, chunked_offset = fit_ridge(subjects, 6)
    features = design(subjects, 6)[:, :-1]
    difference = features @ (chunked_weights - weights) + chunked_offset - offset
    np.testing.assert_allclose(difference, 0, atol=2e-3)
