from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_shresnet.diffusion.halves import (
    halve_directions,
    halve_dwi,
    halve_shells,
)
from bids_shresnet.diffusion.harmonics import basis, choose_sh_order
from bids_shresnet.scans import Dwi, Shell
from tests.diffusion.heads import make_dwi, sphere

SHELLS = (Shell(1000.0, 4), Shell(2000.0, 4))
COUNTS = (31, 24)


def two_shells() -> Dwi:
    """A scan of two shells and three b0 volumes, whose volumes hold their own index."""
    bvals = np.repeat([1000.0, 2000.0], COUNTS)
    bvecs = np.concatenate([sphere(count) for count in COUNTS])
    dwi = make_dwi(np.zeros((1, 1, 1, len(bvals))), bvals, bvecs)
    first = Dwi(dwi.data, dwi.affine, dwi.bvals, dwi.bvecs)
    data = np.concatenate([first.data[..., :1]] * 2 + [first.data], axis=3)
    data[0, 0, 0] = np.arange(data.shape[3])
    zeros = np.zeros((2, 3))
    return Dwi(
        data, dwi.affine, np.concatenate([[0, 0], dwi.bvals]), np.concatenate([zeros, dwi.bvecs])
    )


def test_every_volume_belongs_to_one_half_with_its_own_b_value_and_direction() -> None:
    dwi = two_shells()
    halves = halve_dwi(dwi, SHELLS)
    indices = [half.data[0, 0, 0].astype(int) for half in halves]
    assert sorted(np.concatenate(indices)) == list(range(len(dwi.bvals)))
    for half, volumes in zip(halves, indices, strict=True):
        np.testing.assert_array_equal(half.bvals, dwi.bvals[volumes])
        np.testing.assert_array_equal(half.bvecs, dwi.bvecs[volumes])
        counts = [int((half.bvals == shell.bvalue).sum()) for shell in SHELLS]
        assert all(count // 2 <= part for count, part in zip(COUNTS, counts, strict=True))
        assert half.is_b0.any()


def test_a_single_b0_volume_belongs_to_both_halves() -> None:
    dwi = make_dwi(np.full((2, 2, 2, 12), 0.5), np.full(12, 1000.0), sphere(12))
    for half in halve_dwi(dwi, (Shell(1000.0, 2),)):
        np.testing.assert_array_equal(half.data[..., half.is_b0], dwi.data[..., :1])


@pytest.mark.parametrize("count", [12, 20, 30, 32, 45, 64])
@pytest.mark.parametrize("is_sorted", [True, False], ids=["in order", "shuffled"])
def test_each_half_determines_its_harmonics_nearly_as_well_as_so_many_even_directions(
    count: int, is_sorted: bool
) -> None:
    """Directions that run from pole to pole could not be cut in the middle."""
    table = sphere(count)
    if not is_sorted:
        table = np.random.default_rng(1).permutation(table)
    order = choose_sh_order(count // 2)
    best = np.linalg.svd(basis(sphere(count // 2), order), compute_uv=False)[-1]
    for half in halve_directions(table):
        found = np.linalg.svd(basis(table[half], order), compute_uv=False)[-1]
        assert found > 0.5 * best


@pytest.mark.slow
def test_the_halves_depend_on_the_directions_only() -> None:
    dwi = two_shells()
    other = replace(dwi, data=dwi.data + 7)
    for half, same in zip(halve_dwi(dwi, SHELLS), halve_dwi(other, SHELLS), strict=True):
        np.testing.assert_array_equal(half.bvecs, same.bvecs)


def test_the_order_of_a_half_falls_as_that_of_a_shell_with_so_few_directions() -> None:
    shells = (Shell(1000.0, 4), Shell(2000.0, 4), Shell(3000.0, 2))
    assert halve_shells(shells, (30, 29, 64)) == (
        Shell(1000.0, 4),
        Shell(2000.0, 2),
        Shell(3000.0, 2),
    )


def test_halves_need_six_directions_in_every_shell() -> None:
    assert halve_shells(SHELLS, (12, 30))
    assert not halve_shells(SHELLS, (11, 30))
