from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.report.pictures.dwi_view import (
    DwiView,
    middle_direction,
    nearest_volume,
    select_voxels,
    view_dwi,
)
from bids_shresnet.scans import Dwi, Shell
from tests.datasets import spiral

S0 = 100.0
AXIAL_DIFFUSIVITY = 1.5e-3  # mm2/s
RADIAL_DIFFUSIVITY = 0.3e-3  # mm2/s
FIBRES = np.eye(3)  # one per voxel
SHELLS = (Shell(1000.0, 4), Shell(2000.0, 4))
SUPERIOR = np.array([0, 0, 1.0])


def fibre_dwi() -> Dwi:
    """Three voxels with a fibre along each axis, without noise: a b0 volume and two shells."""
    bvecs = np.concatenate([np.zeros((1, 3)), spiral(30), spiral(20)])
    bvals = np.repeat([0.0, 1000.0, 2000.0], [1, 30, 20])
    squared_cosines = (FIBRES @ bvecs.T) ** 2
    difference = AXIAL_DIFFUSIVITY - RADIAL_DIFFUSIVITY
    data = S0 * np.exp(-bvals * (RADIAL_DIFFUSIVITY + difference * squared_cosines))
    return Dwi(data.reshape(3, 1, 1, -1).astype(np.float32), np.eye(4), bvals, bvecs)


def view_all(dwi: Dwi, direction: Float[np.ndarray, " 3"] = SUPERIOR) -> DwiView:
    return view_dwi(dwi, np.ones(dwi.shape, dtype=bool), SHELLS, direction)


def test_the_tensor_is_that_of_the_fibre() -> None:
    tensor = view_all(fibre_dwi()).tensor
    md = (AXIAL_DIFFUSIVITY + 2 * RADIAL_DIFFUSIVITY) / 3
    variance = (AXIAL_DIFFUSIVITY - md) ** 2 + 2 * (RADIAL_DIFFUSIVITY - md) ** 2
    fa = np.sqrt(1.5 * variance / (AXIAL_DIFFUSIVITY**2 + 2 * RADIAL_DIFFUSIVITY**2))
    assert tensor.md == pytest.approx(md, rel=1e-3)
    assert tensor.fa == pytest.approx(fa, rel=1e-3)
    assert np.abs(tensor.direction) == pytest.approx(FIBRES, abs=1e-2)


def test_the_power_of_an_order_does_not_depend_on_the_direction_of_the_fibre() -> None:
    power = view_all(fibre_dwi()).power
    assert power.shape == (3, 6)
    assert power[0] == pytest.approx(power[2], rel=0.1)  # gradients are not perfectly uniform
    assert (np.diff(power[:, :3], axis=1) < 0).all()


def test_the_power_of_noise_is_that_of_drawn_noise() -> None:
    dwi = fibre_dwi()
    data = np.repeat(dwi.data, 2000, axis=0)
    many = replace(dwi, data=data)
    deviation = 0.02
    rng = np.random.default_rng(0)
    noisy = data.copy()
    noisy[..., 1:] += rng.normal(0, deviation * S0, data[..., 1:].shape)
    mask = np.ones(many.shape, dtype=bool)
    variance = np.full(mask.sum(), deviation**2, np.float32)
    drawn = view_dwi(replace(many, data=noisy), mask, SHELLS, SUPERIOR).power
    expected = view_dwi(many, mask, SHELLS, SUPERIOR, variance).power
    assert drawn.mean(axis=0) == pytest.approx(expected.mean(axis=0), rel=0.05)


def test_the_volume_is_the_nearest_one_of_the_middle_shell() -> None:
    dwi = fibre_dwi()
    direction = middle_direction(dwi, SHELLS)
    view = view_all(dwi, -direction)  # an axis has no sign
    assert view.angle_degrees == pytest.approx(0, abs=0.01)
    index, _ = nearest_volume(dwi, np.flatnonzero(dwi.bvals == 2000), direction)
    assert view.signal == pytest.approx(dwi.data[:, 0, 0, index] / S0, rel=1e-5)
    assert dwi.bvals[index] == 2000


def test_voxels_are_selected_in_any_order_and_repeatedly() -> None:
    view = view_all(fibre_dwi())
    index = np.array([2, 0, 2])
    selected = select_voxels(view, index)
    assert (selected.tensor.direction == view.tensor.direction[index]).all()
    assert (selected.signal == view.signal[index]).all()
    assert (selected.power == view.power[index]).all()


def test_a_missing_shell_is_named() -> None:
    dwi = fibre_dwi()
    mask = np.ones(dwi.shape, dtype=bool)
    with pytest.raises(ValueError, match="no shell at b = 3000"):
        view_dwi(dwi, mask, (Shell(3000.0, 2),), SUPERIOR)
