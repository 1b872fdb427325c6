from __future__ import annotations

import numpy as np

from bids_shresnet.scans import Tissue
from bids_shresnet.training.training_mask import training_mask


def test_training_voxels_are_grey_and_white_matter_and_their_neighbours() -> None:
    tissue = np.zeros((7, 7, 7), dtype=int)
    tissue[1, 3, 3] = Tissue.GM
    tissue[5, 3, 3] = Tissue.WM
    tissue[3, 3, 3] = Tissue.CSF
    voxels = np.argwhere(np.ones_like(tissue))
    steps_to_gm = np.abs(voxels - (1, 3, 3)).sum(1)
    steps_to_wm = np.abs(voxels - (5, 3, 3)).sum(1)
    expected = np.minimum(steps_to_gm, steps_to_wm) <= 1
    np.testing.assert_array_equal(training_mask(tissue).ravel(), expected)
