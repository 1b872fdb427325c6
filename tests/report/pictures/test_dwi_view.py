from __future__ import annotations

import numpy as np
import pytest

from bids_shresnet.report.pictures.dwi_view import (
    middle_direction,
    nearest_volume,
    select_voxels,
    view_dwi,
)
from bids_shresnet.scans import Dwi, Shell
from tests.datasets import spiral

# signal; mm2/s along and across the fibre
S0 = 100.0
LONG = 1.5e-3
WIDE = 0.3e-3
FIBRES = np.eye(3)  # one a voxel
SHELLS = (Shell(1000.0, 4), Shell(2000.0, 4))


def tensors() -> Dwi:
    """Three voxels, a fibre along each axis, without noise: a b0 and two shells."""
    bvecs = np.concatenate([np.zeros((1, 3)), spiral(30), spiral(20)])
    bvals = np.repeat([0.0, 1000.0, 2000.0], [1, 30, 20])
    along = (FIBRES @ bvecs.T) ** 2
    data = S0 * np.exp(-bvals * (WIDE + (LONG - WIDE) * along))
    return Dwi(data.reshape(3, 1, 1, -1).astype(np.float32), np.eye(4), bvals, bvecs)


def test_a_tensor_is_seen_as_it_is() -> None:
    dwi = tensors()
    view = view_dwi(dwi, np.ones(dwi.shape, dtype=bool), SHELLS, np.array([0, 0, 1.0]))
    md = (LONG + 2 * WIDE) / 3
    fa = np.sqrt(1.5 * ((LONG - md) ** 2 + 2 * (WIDE - md) ** 2) / (LONG**2 + 2 * WIDE**2))
    assert view.tensor.md == pytest.approx(md, rel=1e-3)
    assert view.tensor.fa == pytest.approx(fa, rel=1e-3)
    assert np.abs(view.tensor.direction) == pytest.approx(FIBRES, abs=1e-2)


def test_power_of_an_order_does_not_depend_on_where_the_fibre_points() -> None:
    dwi = tensors()
    view = view_dwi(dwi, np.ones(dwi.shape, dtype=bool), SHELLS, np.array([0, 0, 1.0]))
    assert view.power.shape == (3, 6)
    assert view.power[0] == pytest.approx(
        view.power[2], rel=0.1
    )  # directions are not spread perfectly
    assert (np.diff(view.power[:, :3], axis=1) < 0).all()


def test_the_volume_is_the_nearest_of_the_middle_shell() -> None:
    dwi = tensors()
    wanted = middle_direction(dwi, SHELLS)
    view = view_dwi(dwi, np.ones(dwi.shape, dtype=bool), SHELLS, -wanted)  # an axis has no sign
    assert view.angle_degrees == pytest.approx(0, abs=0.01)
    index = nearest_volume(dwi, np.flatnonzero(dwi.bvals == 2000), wanted)[0]
    assert view.signal == pytest.approx(dwi.data[:, 0, 0, index] / S0, rel=1e-5)
    assert dwi.bvals[index] == 2000


def test_voxels_can_be_taken_in_any_order_and_twice() -> None:
    dwi = tensors()
    view = view_dwi(dwi, np.ones(dwi.shape, dtype=bool), SHELLS, np.array([0, 0, 1.0]))
    again = select_voxels(view, np.array([2, 0, 2]))
    assert (again.tensor.direction == view.tensor.direction[[2, 0, 2]]).all()
    assert (again.signal == view.signal[[2, 0, 2]]).all()
    assert (again.power == view.power[[2, 0, 2]]).all()


def test_a_shell_that_is_not_there_is_named() -> None:
    dwi = tensors()
    with pytest.raises(ValueError, match="no shell at b = 3000"):
        view_dwi(dwi, np.ones(dwi.shape, dtype=bool), (Shell(3000.0, 2),), np.array([0, 0, 1.0]))
