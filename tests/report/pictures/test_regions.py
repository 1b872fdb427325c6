from __future__ import annotations

import numpy as np

from bids_shresnet.report.pictures.regions import (
    MAX_TISSUE_MD,
    MIN_WHITE_MATTER_FA,
    segmentation_regions,
    tensor_regions,
)
from bids_shresnet.scans import Tissue


def test_regions_by_maps_are_apart_inside_the_mask_and_without_water_or_what_was_not_fitted() -> (
    None
):
    fa = np.array([0.5, 0.1, 0.1, 0.0, 0.5, MIN_WHITE_MATTER_FA]).reshape(6, 1, 1)
    md = np.array([7e-4, 8e-4, 3e-3, 0.0, 7e-4, MAX_TISSUE_MD - 1e-6]).reshape(6, 1, 1)
    mask = np.array([True, True, True, True, False, True]).reshape(6, 1, 1)
    white, grey = tensor_regions(fa, md, mask)
    assert white.mask.ravel().tolist() == [True, False, False, False, False, False]
    assert grey.mask.ravel().tolist() == [False, True, False, False, False, True]


def test_regions_by_tissue_are_the_tissues_inside_the_mask() -> None:
    tissue = np.array([Tissue.WM, Tissue.GM, Tissue.CSF, 0, Tissue.WM]).reshape(5, 1, 1)
    mask = np.array([True, True, True, True, False]).reshape(5, 1, 1)
    white, grey = segmentation_regions(tissue, mask)
    assert (white.name, white.mask.ravel().tolist()) == (
        "White matter",
        [True, False, False, False, False],
    )
    assert (grey.name, grey.mask.ravel().tolist()) == (
        "Grey matter",
        [False, True, False, False, False],
    )
