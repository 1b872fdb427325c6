from __future__ import annotations

import numpy as np
import pytest

from bids_shresnet.diffusion.signal_quality import check_mask, check_signal
from bids_shresnet.scans import Dwi

BVALS = np.array([0.0, 1000.0, 1000.0])
BVECS = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])


def dwi() -> Dwi:
    """A head of eight voxels in a dark grid of 64."""
    data = np.zeros((4, 4, 4, 3), np.float32)
    data[:2, :2, :2] = 100
    return Dwi(data, np.eye(4), BVALS, BVECS)


def test_wrong_values_are_counted_inside_the_head_and_told_outside() -> None:
    quality = check_signal(dwi())
    assert (
        quality.has_signal,
        quality.not_finite_share,
        quality.negative_share,
        quality.has_bad_background,
        quality.empty_volumes.size,
    ) == (True, 0, 0, False, 0)
    broken = dwi()
    broken.data[0, 0, 0, 1] = np.nan
    broken.data[1, 1, 1, 2] = -5
    broken.data[3, 3, 3, 2] = -1
    quality = check_signal(broken)
    assert (quality.not_finite_share, quality.negative_share, quality.has_bad_background) == (
        pytest.approx(1 / 24),
        pytest.approx(1 / 24),
        True,
    )
    assert check_signal(broken, np.ones((4, 4, 4), bool)).negative_share == pytest.approx(2 / 192)


def test_empty_volumes_and_lost_b0_are_told() -> None:
    dark = dwi()
    dark.data[..., 2] = 0
    assert check_signal(dark).empty_volumes.tolist() == [2]
    dark.data[..., 0] = -1
    assert not check_signal(dark).has_signal


def test_holes_and_pieces_of_a_mask_are_counted() -> None:
    mask = np.zeros((9, 9, 9), bool)
    mask[:5, :5, :5] = True
    mask[2, 2, 2] = mask[0, 0, 3] = False  # a hole, and a notch at the border, which is none
    mask[8, 8, 7:] = True
    shape = check_mask(mask)
    assert (shape.voxels, shape.hole_voxels, shape.detached_voxels) == (125, 1, 2)
