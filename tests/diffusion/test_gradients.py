from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
import pytest
from dipy.core.gradients import gradient_table
from dipy.reconst.dti import TensorModel
from hypothesis import given
from hypothesis import strategies as st

from bids_shresnet.diffusion.gradients import count_directions, rotate_bvecs
from bids_shresnet.diffusion.shells import SHELL_GAP, find_shells, match_shells
from bids_shresnet.scans import B0_THRESHOLD
from tests.diffusion.heads import sphere, turn

ANGLES = st.tuples(*(st.floats(-180, 180),) * 3)
TABLES = st.lists(st.floats(0, 5000), min_size=1, max_size=40).map(np.array)
SHELLS = st.lists(st.integers(2, 60), max_size=5, unique=True).map(
    lambda tens: [100.0 * t for t in sorted(tens)]
)


@pytest.mark.parametrize(
    ("bvals", "expected"),
    [
        pytest.param([0, 1000, 1000], [(1000, [1, 2])], id="plain"),
        pytest.param([5, 990, 985, 5, 1010, 1005], [(997.5, [1, 2, 4, 5])], id="scattered"),
        pytest.param([2440, 0.001, 2470, 2455], [(2455, [0, 2, 3])], id="b0-of-0.001"),
        pytest.param(
            [5, 1010, 2470, 985, 2440], [(997.5, [1, 3]), (2455, [2, 4])], id="two-shells"
        ),
        pytest.param([0, 0.004, 1.25, 930], [(930, [3])], id="b0-of-1.25"),
        pytest.param(
            [500, 0, 750, 1000], [(500, [0]), (750, [2]), (1000, [3])], id="close-protocol"
        ),
        pytest.param([0, 0, 0], [], id="only-b0"),
    ],
)
def test_scattered_tables_have_the_shells_of_their_protocol(
    bvals: list[float], expected: list[tuple[float, list[int]]]
) -> None:
    shells = find_shells(np.array(bvals, dtype=float))
    assert [shell.bvalue for shell in shells] == pytest.approx([bvalue for bvalue, _ in expected])
    assert [shell.volumes.tolist() for shell in shells] == [volumes for _, volumes in expected]


@given(TABLES)
def test_each_weighted_volume_is_in_one_shell_and_no_b0_is_in_any(bvals: np.ndarray) -> None:
    shells = find_shells(bvals)
    members = sorted(volume for shell in shells for volume in shell.volumes.tolist())
    assert members == [volume for volume, b in enumerate(bvals) if b >= B0_THRESHOLD]


@given(TABLES)
def test_shells_ascend_and_are_further_apart_than_a_scanner_scatters(bvals: np.ndarray) -> None:
    shells = find_shells(bvals)
    for lower, upper in pairwise(shells):
        assert bvals[upper.volumes].min() - bvals[lower.volumes].max() > SHELL_GAP


@given(TABLES, st.randoms(use_true_random=False))
def test_shells_do_not_depend_on_the_order_of_the_volumes(
    bvals: np.ndarray, random: Random
) -> None:
    order = np.arange(len(bvals))
    random.shuffle(order)
    for plain, shuffled in zip(find_shells(bvals), find_shells(bvals[order]), strict=True):
        assert shuffled.bvalue == pytest.approx(plain.bvalue)
        assert set(order[shuffled.volumes]) == set(plain.volumes)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        pytest.param([1000], [1200], [(0, 0)], id="paper"),
        pytest.param([1000], [750], [(0, 0)], id="25-percent-of-the-larger"),
        pytest.param([1000], [749], [], id="more-than-25-percent"),
        pytest.param([1000], [900, 1010], [(0, 1)], id="the-nearer-of-two"),
        pytest.param([1000, 1200], [1210], [(1, 0)], id="one-partner-for-two"),
        pytest.param([700, 2000], [1000, 2000, 3000], [(1, 1)], id="multi-shell"),
        pytest.param([1000, 3000], [1200, 2800], [(0, 0), (1, 1)], id="two-pairs"),
        pytest.param([], [1000], [], id="no-source"),
        pytest.param([1000], [], [], id="no-target"),
    ],
)
def test_partners_are_each_others_nearest_within_25_percent(
    source: list[float], target: list[float], expected: list[tuple[int, int]]
) -> None:
    matches = match_shells([float(b) for b in source], [float(b) for b in target])
    assert matches == tuple(expected)


@given(SHELLS, SHELLS)
def test_being_partners_is_mutual_and_a_shell_has_one_partner_at_most(
    source: list[float], target: list[float]
) -> None:
    pairs = match_shells(source, target)
    assert sorted(match_shells(target, source)) == sorted((j, i) for i, j in pairs)
    for side in zip(*pairs, strict=True):
        assert len(set(side)) == len(side)


@given(SHELLS)
def test_every_shell_of_a_protocol_is_its_own_partner(shells: list[float]) -> None:
    assert match_shells(shells, shells) == tuple((i, i) for i in range(len(shells)))


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
    tensor = TensorModel(gradient_table(np.repeat([0.0, 1000.0], [1, 12]), bvecs=turned)).fit(
        signal
    )
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
