"""Tissue segmentations: which label is which tissue, by name and never by number.

BIDS numbers grey matter 1, white matter 2 and CSF 3; QSIPrep CSF 1, grey matter 2 and white matter 3. So a segmentation
counts only with the table that names its labels (`.._dseg.tsv` beside it, columns index and name or abbreviation).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from bids_shresnet.files.nifti import read_labels
from bids_shresnet.files.tables import read_column
from bids_shresnet.scans import Tissue

NAMES = {
    Tissue.GM: re.compile(r"(cortical )?(gm|gr[ae]y matter)", re.IGNORECASE),
    Tissue.WM: re.compile(r"(cerebral )?(wm|white matter)", re.IGNORECASE),
    Tissue.CSF: re.compile(r"csf|cerebro ?spinal fluid", re.IGNORECASE),
}


def label_names(dseg: Path) -> dict[int, Tissue]:
    """The tissue of each label that the table beside the image names; empty without a table."""
    table = dseg.with_name(dseg.name.split(".")[0] + ".tsv")
    cells = [item for heading in ("name", "abbreviation") for item in read_column(table, "index", heading).items()]
    return {
        int(index): tissue
        for index, names in cells
        for tissue, pattern in NAMES.items()
        if any(pattern.fullmatch(name.replace("_", " ").replace("-", " ")) for name in names)
    }


def read_tissue(dseg: Path, shape: tuple[int, int, int], affine: Float[np.ndarray, "4 4"]) -> Int[np.ndarray, "x y z"]:
    """Read a segmentation as values of `Tissue`, 0 for every other label.

    Raises
    ------
    BadInput
        If it is on another grid.
    """
    labels = read_labels(dseg, shape, affine)
    tissue = np.zeros_like(labels)
    for index, value in label_names(dseg).items():
        tissue[labels == index] = value
    return tissue
