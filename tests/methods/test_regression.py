from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.methods import regression
from bids_shresnet.methods.regression import labels, ridge
from bids_shresnet.pairs import Travelling
from tests.methods.heads import head, travelling

SMALL = (8, 8, 8)


@pytest.fixture(scope="module")
def subjects() -> list[Travelling]:
    return [travelling(head(seed, SMALL), directions, sigma=0.02) for seed, directions in ((1, 12), (2, 9), (3, 7))]


def design(subjects: list[Travelling], channels: int) -> Float[np.ndarray, "v f"]:
    """Patches as rows, and a column of ones."""
    rows = [subject.matched.patches[..., :channels].astype(np.float64) for subject in subjects]
    flat = np.concatenate(rows).reshape(-1, 27 * channels)
    return np.concatenate([flat, np.ones((len(flat), 1))], axis=1)


def test_labels_are_the_least_squares_fit_to_the_measured_signal(subjects: list[Travelling]) -> None:
    matched = subjects[0].matched
    expected = np.linalg.lstsq(matched.matrix.astype(float), matched.signal.T.astype(float), rcond=None)[0].T
    np.testing.assert_allclose(labels(matched), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(labels(matched, np.array([3, 8])), expected[[3, 8]], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("channels", [6, 7], ids=["coefficients", "and contrast"])
def test_ridge_is_numpys_least_squares_with_next_to_no_penalty(subjects: list[Travelling], channels: int) -> None:
    weights, offset = ridge(subjects, channels)
    known, wanted = design(subjects, channels), np.concatenate([labels(s.matched) for s in subjects]).astype(float)
    penalty = np.sqrt(regression.RIDGE * len(known)) * np.eye(known.shape[1])[:-1]  # of all but the offset
    extended = np.concatenate([known, penalty]), np.concatenate([wanted, np.zeros((len(penalty), 6))])
    expected = np.linalg.lstsq(*extended, rcond=None)[0]
    np.testing.assert_allclose(known @ np.concatenate([weights, offset[None]]), known @ expected, atol=2e-3)
    plain = np.linalg.lstsq(known, wanted, rcond=None)[0]
    residual = [np.square(known @ found - wanted).sum() for found in (np.vstack([weights, offset]), plain)]
    assert residual[0] == pytest.approx(residual[1], rel=0.01)


@pytest.mark.parametrize("rows", [1, 50, 216])
def test_sums_are_the_same_wherever_chunks_end(
    rows: int, subjects: list[Travelling], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, offset = ridge(subjects, 6)
    monkeypatch.setattr(regression, "ROWS", rows)
    again, other = ridge(subjects, 6)
    np.testing.assert_allclose(design(subjects, 6)[:, :-1] @ (again - weights) + other - offset, 0, atol=2e-3)
