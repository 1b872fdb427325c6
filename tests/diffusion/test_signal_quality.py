from __future__ import annotations

import numpy as np
import pytest

from bids_shresnet.diffusion.signal_quality import inspect, mask_shape
from bids_shresnet.scans import Dwi

BVALS = np.array([0.0, 1000.0, 1000.0])
BVECS = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])


def dwi() -> Dwi:
    """A head of eight voxels in a dark grid of 64."""
    data = np.zeros((4, 4, 4, 3), np.float32)
    data[:2, :2, :2] = 100
    return Dwi(data, np.eye(4), BVALS, BVECS)


def test_wrong_values_are_counted_inside_the_head_and_told_outside() -> None:
    found = inspect(dwi())
    assert (found.signal, found.not_finite, found.negative, found.outside, found.empty.size) == (True, 0, 0, False, 0)
    broken = dwi()
    broken.data[0, 0, 0, 1], broken.data[1, 1, 1, 2], broken.data[3, 3, 3, 2] = np.nan, -5, -1
    found = inspect(broken)
    assert (found.not_finite, found.negative, found.outside) == (pytest.approx(1 / 24), pytest.approx(1 / 24), True)
    assert inspect(broken, np.ones((4, 4, 4), bool)).negative == pytest.approx(2 / 192)


def test_empty_volumes_and_lost_b0_are_told() -> None:
    dark = dwi()
    dark.data[..., 2] = 0
    assert inspect(dark).empty.tolist() == [2]
    dark.data[..., 0] = -1
    assert not inspect(dark).signal


def test_holes_and_pieces_of_a_mask_are_counted() -> None:
    mask = np.zeros((9, 9, 9), bool)
    mask[:5, :5, :5] = True
    mask[2, 2, 2] = mask[0, 0, 3] = False  # a hole, and a notch at the border, which is none
    mask[8, 8, 7:] = True
    shape = mask_shape(mask)
    assert (shape.voxels, shape.holes, shape.apart) == (125, 1, 2)
