from __future__ import annotations

import numpy as np

from bids_shresnet.report.pictures.regions import tissue_regions
from bids_shresnet.scans import Tissue


def test_regions_by_tissue_are_the_tissues_inside_the_mask() -> None:
    tissue = np.array([Tissue.WM, Tissue.GM, Tissue.CSF, 0, Tissue.WM]).reshape(5, 1, 1)
    mask = np.array([True, True, True, True, False]).reshape(5, 1, 1)
    white, grey = tissue_regions(tissue, mask)
    assert (white.name, white.mask.ravel().tolist()) == (
        "White matter",
        [True, False, False, False, False],
    )
    assert (grey.name, grey.mask.ravel().tolist()) == (
        "Grey matter",
        [False, True, False, False, False],
    )
