from __future__ import annotations

import numpy as np
import pytest
from dipy.core.gradients import gradient_table
from dipy.reconst.dti import TensorModel
from hypothesis import given
from hypothesis import strategies as st

from bids_shresnet.diffusion.gradients import count_directions, rotate_bvecs
from tests.diffusion.heads import sphere, turn

ANGLES = st.tuples(*(st.floats(-180, 180),) * 3)


@given(ANGLES)
def test_main_direction_of_the_tensor_turns_with_the_gradients(
    angles: tuple[float, float, float],
) -> None:
    head = turn(*angles)
    fibre = np.array([0.6, -0.48, 0.64])
    bvecs = sphere(12)
    diffusivity = 0.3e-3 + 1.4e-3 * np.square(bvecs @ fibre)
    signal = np.concatenate([[1.0], np.exp(-1000 * diffusivity)])
    turned = np.concatenate([np.zeros((1, 3)), rotate_bvecs(bvecs, head)])
    table = gradient_table(np.repeat([0.0, 1000.0], [1, 12]), bvecs=turned)
    tensor = TensorModel(table).fit(signal)
    assert abs(tensor.evecs[:, 0] @ (head @ fibre)) == pytest.approx(1, abs=1e-6)


@given(ANGLES)
def test_turning_back_undoes_a_turn(angles: tuple[float, float, float]) -> None:
    table = np.concatenate([np.zeros((2, 3)), sphere(6)])
    head = turn(*angles)
    np.testing.assert_allclose(rotate_bvecs(rotate_bvecs(table, head), head.T), table, atol=1e-12)


def test_opposite_and_repeated_directions_are_one_axis() -> None:
    vectors = sphere(60)
    assert count_directions(vectors) == 60
    assert count_directions(np.concatenate([vectors, -3 * vectors, np.round(vectors, 3)])) == 60
