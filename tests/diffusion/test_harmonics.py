from __future__ import annotations

import numpy as np
import pytest
from dipy.core.sphere import Sphere
from dipy.reconst.shm import real_sh_descoteaux, sf_to_sh, smooth_pinv
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from bids_shresnet.diffusion.harmonics import (
    basis,
    choose_sh_order,
    evaluation_matrix,
    fitting_matrix,
    l_values,
    order_indices,
)
from bids_shresnet.scans import Shell
from tests.diffusion.heads import sphere

SEEDS = st.integers(0, 2**32 - 1)
GOLDEN_RATIO = (1 + np.sqrt(5)) / 2
# Half of its vertices. Every quadratic form has the same mean over them as over the sphere.
ICOSAHEDRON = np.array(
    [
        [0, 1, GOLDEN_RATIO],
        [GOLDEN_RATIO, 0, 1],
        [1, GOLDEN_RATIO, 0],
        [0, 1, -GOLDEN_RATIO],
        [-GOLDEN_RATIO, 0, 1],
        [1, -GOLDEN_RATIO, 0],
    ]
) / np.sqrt(1 + GOLDEN_RATIO**2)

Number = float | Float[np.ndarray, " n"]


def random_table(count: int, seed: int) -> Float[np.ndarray, "count 3"]:
    """Directions drawn evenly from the sphere."""
    vectors = np.random.default_rng(seed).standard_normal((count, 3))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def legendre2(cosine: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return (3 * cosine**2 - 1) / 2


def polynomials2(x: Number, y: Number, z: Number) -> list[Number]:
    """Real harmonics of order 2, m = -2 ... 2.

    Re Y_2^m for m < 0, Im Y_2^m for m > 0, with Condon and Shortley's signs.
    """
    root = np.sqrt(15 / np.pi)
    axial = np.sqrt(5 / np.pi) / 4 * (3 * z**2 - 1)
    return [root / 4 * (x**2 - y**2), root / 2 * x * z, axial, -root / 2 * y * z, root / 2 * x * y]


def test_orders_0_and_2_are_the_textbook_polynomials_of_x_y_and_z() -> None:
    table = random_table(50, 0)
    x, y, z = table.T
    expected = [np.full(50, 1 / np.sqrt(4 * np.pi)), *polynomials2(x, y, z)]
    np.testing.assert_allclose(basis(table, 2), np.stack(expected, axis=1), atol=1e-12)


@pytest.mark.parametrize("sh_order", [2, 4, 6, 8])
def test_basis_is_that_of_dipy(sh_order: int) -> None:
    table = random_table(50, 1)
    theta = np.arccos(table[:, 2])
    phi = np.arctan2(table[:, 1], table[:, 0])
    expected, _, orders = real_sh_descoteaux(sh_order, theta, phi, legacy=False)
    np.testing.assert_allclose(basis(table, sh_order), expected, atol=1e-12)
    np.testing.assert_array_equal(l_values(sh_order), orders)


@pytest.mark.parametrize("sh_order", [2, 4, 6])
def test_basis_is_orthonormal_on_the_sphere(sh_order: int) -> None:
    nodes, weights = np.polynomial.legendre.leggauss(12)  # exact up to degree 23 in z
    angles = 2 * np.pi * np.arange(16) / 16  # exact up to degree 15 around z
    z = np.repeat(nodes, len(angles))
    phi = np.tile(angles, len(nodes))
    ring = np.sqrt(1 - z**2)
    matrix = basis(np.stack([ring * np.cos(phi), ring * np.sin(phi), z], axis=1), sh_order)
    areas = np.repeat(weights, 16) * 2 * np.pi / 16
    np.testing.assert_allclose(
        matrix.T @ (areas[:, None] * matrix), np.eye(matrix.shape[1]), atol=1e-12
    )


@given(SEEDS, st.floats(0, 1), st.floats(0, 1), st.sampled_from([2, 4, 6]))
def test_constant_signal_has_only_the_first_coefficient(
    seed: int, value: float, smoothing: float, sh_order: int
) -> None:
    fitted = fitting_matrix(random_table(60, seed), sh_order, smoothing=smoothing) @ np.full(
        60, value
    )
    expected = np.zeros(len(fitted))
    expected[0] = np.sqrt(4 * np.pi) * value
    np.testing.assert_allclose(fitted, expected, atol=1e-9)


@given(SEEDS)
def test_axial_function_of_order_2_has_the_coefficients_of_the_addition_theorem(seed: int) -> None:
    table = random_table(60, seed)
    axis = random_table(1, seed + 1)
    fitted = fitting_matrix(table, 4, smoothing=0.0) @ legendre2(table @ axis[0])
    expected = np.zeros(15)
    expected[1:6] = 4 * np.pi / 5 * np.asarray(polynomials2(*axis[0]))
    np.testing.assert_allclose(fitted, expected, atol=1e-9)


@given(SEEDS, st.sampled_from([2, 4, 6]))
def test_band_limited_signal_survives_fit_and_evaluation(seed: int, sh_order: int) -> None:
    rng = np.random.default_rng(seed)
    table = random_table(60, seed)
    coefficients = rng.uniform(-1, 1, Shell(0.0, sh_order).coefficient_count)
    signal = basis(table, sh_order) @ coefficients
    fitted = fitting_matrix(table, sh_order, smoothing=0.0) @ signal
    np.testing.assert_allclose(fitted, coefficients, atol=1e-8)
    np.testing.assert_allclose(basis(table, sh_order) @ fitted, signal, atol=1e-9)


@given(SEEDS, st.sampled_from([0.0, 0.006, 0.5]))
def test_fit_is_that_of_dipy(seed: int, smoothing: float) -> None:
    table = random_table(40, seed)
    orders = l_values(4)
    matrix = fitting_matrix(table, 4, smoothing=smoothing)
    np.testing.assert_allclose(
        matrix, smooth_pinv(basis(table, 4), np.sqrt(smoothing) * orders * (orders + 1)), atol=1e-8
    )


def test_fit_with_the_papers_smoothing_is_sf_to_sh_of_dipy() -> None:
    table = sphere(30)
    signal = np.random.default_rng(2).uniform(0, 1, (5, 30))
    expected = sf_to_sh(
        signal,
        Sphere(xyz=table),
        sh_order_max=4,
        basis_type="descoteaux07",
        smooth=0.006,
        legacy=False,
    )
    np.testing.assert_allclose(signal @ fitting_matrix(table, 4).T, expected, atol=1e-10)


def test_smoothing_shrinks_order_2_by_the_formula_exactly_on_the_icosahedron() -> None:
    table = np.asarray(Rotation.from_euler("xyz", [10, 20, 30], degrees=True).apply(ICOSAHEDRON))
    smoothing = 0.006
    density = 6 / (4 * np.pi)
    shrunk = fitting_matrix(table, 2, smoothing=smoothing) @ basis(table, 2)
    expected = np.diag([1.0, *[density / (density + smoothing * 2**2 * 3**2)] * 5])
    np.testing.assert_allclose(shrunk, expected, atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.1, 1.0, 10.0])
def test_smoothing_shrinks_every_order_by_the_formula_on_a_dense_table(smoothing: float) -> None:
    density = 2000 / (4 * np.pi)
    shrunk = fitting_matrix(sphere(2000), 4, smoothing=smoothing) @ basis(sphere(2000), 4)
    expected = np.repeat(
        [density / (density + smoothing * value**2 * (value + 1) ** 2) for value in (0, 2, 4)],
        [1, 5, 9],
    )
    np.testing.assert_allclose(shrunk, np.diag(expected), atol=5e-3)


def test_signal_of_a_shell_is_that_of_its_own_coefficients_alone() -> None:
    shells = (Shell(1000.0, 4), Shell(2000.0, 2))
    tables = (random_table(20, 3), random_table(9, 4))
    stacked = np.random.default_rng(5).uniform(-1, 1, 15 + 6)
    signal = evaluation_matrix(tables, shells) @ stacked
    expected = [basis(tables[0], 4) @ stacked[:15], basis(tables[1], 2) @ stacked[15:]]
    np.testing.assert_allclose(signal, np.concatenate(expected), atol=1e-12)


def test_every_shell_needs_a_table() -> None:
    with pytest.raises(ValueError, match="argument"):
        evaluation_matrix([random_table(20, 3)], (Shell(1000.0, 4), Shell(2000.0, 2)))


def test_stacked_orders_are_counted_through_all_shells() -> None:
    groups = order_indices((Shell(1000.0, 4), Shell(2000.0, 2)))
    expected = [[0], [1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11, 12, 13, 14], [15], [16, 17, 18, 19, 20]]
    assert [group.tolist() for group in groups] == expected


@pytest.mark.parametrize(
    ("directions", "requested", "expected"),
    [(6, None, 2), (14, None, 2), (15, None, 4), (90, None, 4), (90, 6, 6)],
)
def test_order_is_4_where_directions_allow_and_as_requested_else(
    directions: int, requested: int | None, expected: int
) -> None:
    assert choose_sh_order(directions, requested) == expected
