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


def test_labels_are_the_least_squares_fit_to_the_measured_signal(
    subjects: list[TravellingSubject],
) -> None:
    matched = subjects[0].matched
    expected = np.linalg.lstsq(
        matched.sh_matrix.astype(float), matched.signal.T.astype(float), rcond=None
    )[0].T
    np.testing.assert_allclose(fit_target_coefficients(matched), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        fit_target_coefficients(matched, np.array([3, 8])), expected[[3, 8]], rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("channels", [6, 7], ids=["coefficients", "and contrast"])
def test_ridge_is_numpys_least_squares_with_next_to_no_penalty(
    subjects: list[TravellingSubject], channels: int
) -> None:
    weights, offset = fit_ridge(subjects, channels)
    known, wanted = (
        design(subjects, channels),
        np.concatenate([fit_target_coefficients(s.matched) for s in subjects]).astype(float),
    )
    penalty = (
        np.sqrt(regression.RIDGE_PENALTY_PER_VOXEL * len(known)) * np.eye(known.shape[1])[:-1]
    )  # of all but the offset
    extended = (
        np.concatenate([known, penalty]),
        np.concatenate([wanted, np.zeros((len(penalty), 6))]),
    )
    expected = np.linalg.lstsq(*extended, rcond=None)[0]
    np.testing.assert_allclose(
        known @ np.concatenate([weights, offset[None]]), known @ expected, atol=2e-3
    )
    plain = np.linalg.lstsq(known, wanted, rcond=None)[0]
    residual = [
        np.square(known @ found - wanted).sum() for found in (np.vstack([weights, offset]), plain)
    ]
    assert residual[0] == pytest.approx(residual[1], rel=0.01)


@pytest.mark.parametrize("rows", [1, 50, 216])
def test_sums_are_the_same_wherever_chunks_end(
    rows: int, subjects: list[TravellingSubject], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, offset = fit_ridge(subjects, 6)
    monkeypatch.setattr(regression, "ROWS_PER_CHUNK", rows)
    again, other = fit_ridge(subjects, 6)
    np.testing.assert_allclose(
        design(subjects, 6)[:, :-1] @ (again - weights) + other - offset, 0, atol=2e-3
    )
