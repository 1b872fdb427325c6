from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_shresnet.diffusion.shells import SHELL_GAP, find_shell_volumes, find_shells, match_shells
from bids_shresnet.scans import B0_THRESHOLD, Shell

# With the b-values next to the limit of b0 volumes, which floats hardly ever are
BVALUES = st.floats(0, 5000) | st.sampled_from([49.999, 50.0])
TABLES = st.lists(BVALUES, min_size=1, max_size=40).map(np.array)
SHELLS = st.lists(st.integers(2, 60), max_size=5, unique=True).map(
    lambda tens: [100.0 * t for t in sorted(tens)]
)
# Interleaved as scanners write them: b0 volumes and three shells.
SCATTERED_BVALS = np.array([0.0, *[1005, 2000, 990] * 16, 5, *[1500] * 7, *[2010] * 4, 0.001])


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
    order = list(range(len(bvals)))
    random.shuffle(order)
    for plain, shuffled in zip(find_shells(bvals), find_shells(bvals[order]), strict=True):
        assert shuffled.bvalue == pytest.approx(plain.bvalue)
        assert {order[volume] for volume in shuffled.volumes} == set(plain.volumes)


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


def test_volumes_of_a_shell_are_found_among_scattered_b_values() -> None:
    first, second = find_shell_volumes(SCATTERED_BVALS, (Shell(1000.0, 4), Shell(2000.0, 2)))
    np.testing.assert_array_equal(first, np.flatnonzero(np.abs(SCATTERED_BVALS - 1000) < 50))
    np.testing.assert_array_equal(second, np.flatnonzero(np.abs(SCATTERED_BVALS - 2000) < 50))


@pytest.mark.parametrize(("near", "far"), [(3020.0, 2890.0), (2990.0, 3110.0)])
def test_of_two_shells_within_tolerance_the_nearer_one_is_found(near: float, far: float) -> None:
    bvals = np.array([0.0, far, near, far, near, near])
    (volumes,) = find_shell_volumes(bvals, (Shell(3000.0, 4),))
    assert volumes.tolist() == [2, 4, 5]


def test_a_missing_shell_is_named_with_the_b_values_of_the_scan() -> None:
    with pytest.raises(ValueError, match=r"b = 1700.*b = 99\d, 1500, 200\d"):
        find_shell_volumes(SCATTERED_BVALS, (Shell(1700.0, 4),))
