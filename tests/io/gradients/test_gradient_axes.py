from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from bids_shresnet.io.gradients.gradient_axes import from_fsl, to_fsl
from tests.io.grids import grids

UNIT = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.6, 0, 0.8], [0.6, -0.8, 0]])


@pytest.mark.parametrize(
    ("diagonal", "signs"),
    [  # the letters name the direction of each image axis
        pytest.param([2, 2, 2], [-1, 1, 1], id="RAS"),
        pytest.param([-2, 2, 2], [-1, 1, 1], id="LAS"),
        pytest.param([-2, -2, 2], [1, -1, 1], id="LPS"),
        pytest.param([2, -2, 2], [1, -1, 1], id="RPS"),
        pytest.param([2, 2, -2], [1, 1, -1], id="RAI"),
    ],
)
def test_fsl_vectors_of_grids_along_the_world_axes_differ_by_signs_only(
    diagonal: list[int], signs: list[int]
) -> None:
    np.testing.assert_allclose(from_fsl(UNIT, np.diag([*diagonal, 1.0])), UNIT * signs, atol=1e-12)


@given(affine=grids())
def test_fsl_vectors_are_steps_through_a_radiological_image(
    affine: Float[np.ndarray, "4 4"],
) -> None:
    """FSL reads every image as if its first axis ran from right to left."""
    is_neurological = np.linalg.det(affine[:3, :3]) > 0
    radiological = affine @ np.diag([-1.0, 1, 1, 1]) if is_neurological else affine
    steps = UNIT / np.linalg.norm(radiological[:3, :3], axis=0)  # 1 mm along each vector, in voxels
    ends = np.c_[steps, np.ones(len(steps))] @ radiological.T
    displacements = ends[:, :3] - radiological[:3, 3]
    np.testing.assert_allclose(from_fsl(UNIT, affine), displacements, atol=1e-9)


@given(affine=grids(), pose=st.tuples(*[st.floats(-3, 3)] * 3))
def test_rotating_a_scan_with_its_grid_does_not_change_its_fsl_table(
    affine: Float[np.ndarray, "4 4"], pose: tuple[float, float, float]
) -> None:
    rotation = np.eye(4)
    rotation[:3, :3] = Rotation.from_rotvec(pose).as_matrix()
    rotated = to_fsl(UNIT @ rotation[:3, :3].T, rotation @ affine)
    np.testing.assert_allclose(rotated, to_fsl(UNIT, affine), atol=1e-9)


@given(affine=grids())
def test_to_fsl_inverts_from_fsl_and_keeps_lengths(affine: Float[np.ndarray, "4 4"]) -> None:
    world = from_fsl(UNIT, affine)
    np.testing.assert_allclose(to_fsl(world, affine), UNIT, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(world, axis=1), 1, atol=1e-12)


@pytest.mark.parametrize(("column", "word"), [([0.2, 2, 0], "sheared"), ([0, 0, 0], "voxel sizes")])
def test_a_grid_without_orthogonal_axes_has_no_fsl_vectors(column: list[float], word: str) -> None:
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 1] = column
    with pytest.raises(ValueError, match=word):
        from_fsl(UNIT, affine)
