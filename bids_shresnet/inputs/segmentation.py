"""Tissue segmentations: which label is which tissue, by name and never by number.

BIDS numbers grey matter 1, white matter 2 and CSF 3; QSIPrep CSF 1, grey matter 2 and white matter 3. So a dseg counts
only with the table that names its labels (columns index and name or abbreviation), or if QSIPrep made it; a probseg
names its tissue in `label-`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from bids_shresnet.inputs.qsiprep import QSIPREP, QSIPREP_LABELS
from bids_shresnet.inputs.tables import read_column
from bids_shresnet.io.nifti import read_on_grid
from bids_shresnet.scans import LabelImage, Segmentation, Tissue

PIPELINE_LABELS = {QSIPREP: QSIPREP_LABELS}
TISSUE_NAME_PATTERNS = {
    Tissue.GM: re.compile(r"(cortical )?(gm|gr[ae]y matter)", re.IGNORECASE),
    Tissue.WM: re.compile(r"(cerebral )?(wm|white matter)", re.IGNORECASE),
    Tissue.CSF: re.compile(r"csf|cerebro ?spinal fluid", re.IGNORECASE),
}
MIN_TISSUE_PROBABILITY = (
    0.5  # probability from which a voxel is of one of the tissues rather than of none
)


def read_label_tissues(tables: Iterable[Path], pipeline: str) -> dict[int, Tissue]:
    """The tissue of each label: by the last (closest) table, else by what is known of the pipeline; else empty."""
    closest = next(reversed(list(tables)), None)
    if closest is None:
        return dict(PIPELINE_LABELS.get(pipeline, {}))
    cells = [
        item
        for heading in ("name", "abbreviation")
        for item in read_column(closest, "index", heading).items()
    ]
    return {
        int(index): tissue
        for index, names in cells
        for tissue, pattern in TISSUE_NAME_PATTERNS.items()
        if any(pattern.fullmatch(name.replace("_", " ").replace("-", " ")) for name in names)
    }


def read_tissue(
    segmentation: Segmentation, shape: tuple[int, int, int], affine: Float[np.ndarray, "4 4"]
) -> Int[np.ndarray, "x y z"]:
    """Read a segmentation on a canonical grid as values of `Tissue`, 0 for everything else.

    Raises
    ------
    InputMissing
        If one of its files does not exist.
    BadInput
        If one of them is damaged.
    """
    tissue = np.zeros(shape, dtype=np.int32)
    if isinstance(segmentation, LabelImage):
        labels = np.rint(read_on_grid(segmentation.path, shape, affine, spline_order=0))
        for index, value in segmentation.labels.items():
            tissue[labels == index] = value
        return tissue
    maps = np.stack(
        [read_on_grid(path, shape, affine, spline_order=1) for path in segmentation.paths.values()]
    )
    likeliest = np.array(list(segmentation.paths), dtype=np.int32)[maps.argmax(axis=0)]
    return np.where(maps.sum(axis=0) >= MIN_TISSUE_PROBABILITY, likeliest, tissue)
