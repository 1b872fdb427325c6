from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float

from bids_shresnet.diffusion.harmonics import order_indices
from bids_shresnet.methods.harmonizer import combine_predictions
from bids_shresnet.scans import Shell
from tests.methods.heads import fit_task, head, travelling

SHELLS = (Shell(1000.0, 4), Shell(2000.0, 2))
ORDERS = order_indices(SHELLS)
DIRECTED = [group for group in ORDERS if len(group) > 1]
SEEDS = st.integers(0, 2**32 - 1)


def prediction(seed: int) -> Float[np.ndarray, "v c"]:
    return np.random.default_rng(seed).standard_normal((8, 21)).astype(np.float32)


def lengths(coefficients: Float[np.ndarray, "v c"]) -> Float[np.ndarray, "v o"]:
    return np.stack([np.linalg.norm(coefficients[:, group], axis=1) for group in DIRECTED], axis=1)


@given(SEEDS, st.integers(1, 5))
def test_predictions_that_agree_are_what_they_agree_on(seed: int, count: int) -> None:
    np.testing.assert_allclose(
        combine_predictions([prediction(seed)] * count, SHELLS),
        prediction(seed),
        rtol=1e-5,
        atol=1e-6,
    )


def test_one_prediction_is_taken_as_it_is() -> None:
    np.testing.assert_array_equal(combine_predictions([prediction(0)], SHELLS), prediction(0))


@given(SEEDS, st.floats(0.01, 2))
def test_where_predictions_disagree_the_mean_keeps_their_mean_amplitude(
    seed: int, apart: float
) -> None:
    """The mean of a prediction with opposite deviations is shorter than both."""
    deviation = apart * prediction(seed + 1)
    both = [prediction(seed) + deviation, prediction(seed) - deviation]
    combined = combine_predictions(both, SHELLS)
    mean_length = (lengths(both[0]) + lengths(both[1])) / 2
    np.testing.assert_allclose(lengths(combined), mean_length, rtol=1e-3)
    cosines = [
        (combined[:, group] * prediction(seed)[:, group]).sum(1)
        / np.linalg.norm(combined[:, group], axis=1)
        / np.linalg.norm(prediction(seed)[:, group], axis=1)
        for group in DIRECTED
    ]
    np.testing.assert_allclose(cosines, 1, atol=1e-3)


def test_order_0_of_every_shell_is_the_mean() -> None:
    parts = [prediction(seed) for seed in range(3)]
    single = np.concatenate([group for group in ORDERS if len(group) == 1])
    assert single.tolist() == [0, 15]
    np.testing.assert_allclose(
        combine_predictions(parts, SHELLS)[:, single], np.mean(parts, axis=0)[:, single], rtol=1e-6
    )


def test_predictions_that_cancel_out_give_finite_numbers() -> None:
    combined = combine_predictions([prediction(0), -prediction(0)], SHELLS)
    assert np.isfinite(combined).all()


@given(SEEDS, st.permutations(range(3)))
def test_the_order_of_the_predictions_makes_no_difference(seed: int, order: list[int]) -> None:
    parts = [prediction(seed + k) for k in range(3)]
    shuffled = combine_predictions([parts[k] for k in order], SHELLS)
    np.testing.assert_allclose(shuffled, combine_predictions(parts, SHELLS), rtol=1e-4, atol=1e-5)


def test_a_fit_task_has_the_coefficients_of_every_order_and_shell() -> None:
    assert fit_task([travelling(head(0))], shells=SHELLS).outputs == (1, 5, 9, 1, 5)
