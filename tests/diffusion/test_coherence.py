from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_shresnet.diffusion.coherence import (
    REORIENTATIONS,
    Reorientation,
    Tracts,
    find_better_reorientation,
    find_tracts,
)
from bids_shresnet.inputs.load_scan import load_scan
from bids_shresnet.io.gradients.gradient_axes import to_fsl
from tests.diffusion.heads import make_dwi, sphere
from tests.factories import make_scan
from tests.images import load_image
from tests.real_data import TEST_DATA, needs_test_data

SIZE = 32
OTHERS = REORIENTATIONS[1:]
REAL = TEST_DATA / "real-dwi"


def fibres(voxel_mm: tuple[float, float, float] = (2.0, 2.0, 2.0)) -> Tracts:
    """Thin straight fibres, drawn at random, through a grid along the axes."""
    rng = np.random.default_rng(7)
    world = np.moveaxis(np.indices((SIZE,) * 3), 0, -1) * np.array(voxel_mm)
    directions = np.zeros((SIZE, SIZE, SIZE, 3))
    mask = np.zeros((SIZE,) * 3, bool)
    for _ in range(60):
        along = rng.standard_normal(3)
        through = rng.uniform(0, SIZE, 3) * voxel_mm
        along /= np.linalg.norm(along)
        near = np.linalg.norm(np.cross(world - through, along), axis=-1) < max(voxel_mm)
        directions[near] = along
        mask[near] = True
    return Tracts(directions, mask)


def misread(tracts: Tracts, reading: Reorientation) -> Tracts:
    """Directions from a table that this reading corrects."""
    return replace(tracts, directions=tracts.directions @ reading.matrix)


def test_the_readings_are_all_right_angled_ones_and_no_two_mean_the_same() -> None:
    matrices = np.stack([reading.matrix for reading in REORIENTATIONS])
    squares = matrices @ np.moveaxis(matrices, 1, 2)
    np.testing.assert_array_equal(squares, np.broadcast_to(np.eye(3), (24, 3, 3)))
    # M and -M are one reading
    assert len({tuple(np.kron(matrix, matrix).ravel()) for matrix in matrices}) == 24
    assert len({reading.name for reading in REORIENTATIONS}) == 24
    assert REORIENTATIONS[0].name == "as it stands"
    np.testing.assert_array_equal(matrices[0], np.eye(3))


@pytest.mark.parametrize(
    ("name", "turned"),
    [
        ("flip x", [-1, 2, 3]),
        ("swap y and z", [1, 3, 2]),
        ("swap x and z, then flip y", [3, -2, 1]),
        ("reorder to z x y", [3, 1, 2]),
    ],
)
def test_a_readings_name_says_what_its_matrix_does(name: str, turned: list[float]) -> None:
    by_name = {reading.name: reading for reading in REORIENTATIONS}
    np.testing.assert_array_equal(by_name[name].matrix @ [1, 2, 3], turned)


@pytest.mark.parametrize("voxel_mm", [(2.0, 2.0, 2.0), (2.0, 2.0, 3.0)])
def test_every_misread_table_is_detected_and_a_correct_one_is_not(
    voxel_mm: tuple[float, float, float],
) -> None:
    axes = np.diag(voxel_mm)
    right = fibres(voxel_mm)
    assert find_better_reorientation(right, axes) is None
    for reading in OTHERS:
        better = find_better_reorientation(misread(right, reading), axes)
        assert better is not None
        assert better.name == reading.name
        assert better.coherence > better.original_coherence


def test_tensors_fitted_to_a_misread_table_point_where_turning_the_right_ones_would() -> None:
    """One tensor fit therefore serves every reading."""
    bvecs = sphere(15)
    fibre = np.array([0.6, 0.48, 0.64])
    tensor = 1e-3 * (np.eye(3) * 0.3 + np.outer(fibre, fibre) * 1.4)
    attenuation = np.exp(-1000 * np.einsum("ni,ij,nj->n", bvecs, tensor, bvecs))
    dwi = make_dwi(attenuation[None, None, None], np.full(15, 1000.0), bvecs)
    brain = np.ones((1, 1, 1), bool)
    for reading in REORIENTATIONS:
        misread_dwi = replace(dwi, bvecs=dwi.bvecs @ reading.matrix)
        direction = find_tracts(misread_dwi, brain).directions[0, 0, 0]
        assert abs(direction @ reading.matrix.T @ fibre) == pytest.approx(1, abs=1e-4)


@needs_test_data("real-dwi")
@pytest.mark.parametrize("subject", ["vuiis", "uih1"])
def test_every_misread_table_of_a_real_head_is_detected_and_its_own_is_not(
    subject: str,
) -> None:
    (image,) = REAL.glob(f"sub-{subject}/*/dwi/*_dwi.nii.gz")
    stem = image.with_name(image.name.removesuffix(".nii.gz"))
    loaded = load_scan(make_scan(stem, subject=subject, dataset=REAL))
    affine = load_image(image).affine
    tracts = find_tracts(loaded.dwi, loaded.mask)
    axes = to_fsl(loaded.dwi.affine[:3, :3].T, affine).T
    flat = tracts.directions.astype(float).reshape(-1, 3)
    right = replace(tracts, directions=to_fsl(flat, affine).reshape(tracts.directions.shape))
    assert find_better_reorientation(right, axes) is None
    for reading in OTHERS:
        better = find_better_reorientation(misread(right, reading), axes)
        assert better is not None
        assert better.name == reading.name


def test_random_directions_give_no_better_reading() -> None:
    drawn = np.random.default_rng(0).standard_normal((SIZE, SIZE, SIZE, 3))
    noise = Tracts(
        drawn / np.linalg.norm(drawn, axis=-1, keepdims=True), np.ones((SIZE,) * 3, bool)
    )
    assert find_better_reorientation(noise, np.eye(3)) is None
    nothing = Tracts(np.zeros((2, 2, 2, 3)), np.zeros((2, 2, 2), bool))
    assert find_better_reorientation(nothing, np.eye(3)) is None
