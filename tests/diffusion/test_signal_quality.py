from __future__ import annotations

import numpy as np
import pytest

from bids_shresnet.diffusion.signal_quality import check_mask, check_signal
from bids_shresnet.scans import Dwi

BVALS = np.array([0.0, 1000.0, 1000.0])
BVECS = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])


def make_dwi() -> Dwi:
    """A head of eight voxels in a dark grid of 64."""
    data = np.zeros((4, 4, 4, 3), np.float32)
    data[:2, :2, :2] = 100
    return Dwi(data, np.eye(4), BVALS, BVECS)


def test_a_good_scan_has_no_defects() -> None:
    quality = check_signal(make_dwi())
    assert quality.has_signal
    assert quality.not_finite_share == 0
    assert quality.negative_share == 0
    assert not quality.has_bad_background
    assert quality.empty_volumes.size == 0


def test_bad_values_are_counted_inside_the_head_and_noted_outside() -> None:
    dwi = make_dwi()
    dwi.data[0, 0, 0, 1] = np.nan
    dwi.data[1, 1, 1, 2] = -5
    dwi.data[3, 3, 3, 2] = -1
    quality = check_signal(dwi)
    assert quality.not_finite_share == pytest.approx(1 / 24)
    assert quality.negative_share == pytest.approx(1 / 24)
    assert quality.has_bad_background
    everywhere = np.ones((4, 4, 4), bool)
    assert check_signal(dwi, everywhere).negative_share == pytest.approx(2 / 192)


def test_empty_volumes_and_a_lost_b0_are_reported() -> None:
    dwi = make_dwi()
    dwi.data[..., 2] = 0
    assert check_signal(dwi).empty_volumes.tolist() == [2]
    dwi.data[..., 0] = -1
    assert not check_signal(dwi).has_signal


def test_holes_and_pieces_of_a_mask_are_counted() -> None:
    mask = np.zeros((9, 9, 9), bool)
    mask[:5, :5, :5] = True
    mask[2, 2, 2] = False  # a hole
    mask[0, 0, 3] = False  # a notch at the border, which is none
    mask[8, 8, 7:] = True
    quality = check_mask(mask)
    assert quality.voxels == 125
    assert quality.hole_voxels == 1
    assert quality.detached_voxels == 2
