"""Tissue segmentations. Labels are identified by name, never by number.

BIDS numbers grey matter 1, white matter 2 and CSF 3; QSIPrep numbers CSF 1, grey matter 2 and white
matter 3. So a dseg needs the table that names its labels (columns index and name or abbreviation),
unless QSIPrep made it. A probseg names its tissue in `label-`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from bids_shresnet.inputs.qsiprep import QSIPREP, QSIPREP_LABELS
from bids_shresnet.inputs.tables import read_column
from bids_shresnet.io.file_errors import raise_bad_input
from bids_shresnet.io.images.nifti import read_on_grid
from bids_shresnet.regions import Parcellation
from bids_shresnet.scans import LabelImage, ProbabilityMaps, Segmentation, Tissue

PIPELINE_LABELS = {QSIPREP: QSIPREP_LABELS}
TISSUE_NAME_PATTERNS = {
    Tissue.GM: re.compile(r"(cortical )?(gm|gr[ae]y matter)", re.IGNORECASE),
    Tissue.WM: re.compile(r"(cerebral )?(wm|white matter)", re.IGNORECASE),
    Tissue.CSF: re.compile(r"csf|cerebro ?spinal fluid", re.IGNORECASE),
}
# Sum of the tissue probabilities below which a voxel has no tissue
MIN_TISSUE_PROBABILITY = 0.5


def read_label_tissues(tables: Sequence[Path], pipeline: str) -> dict[int, Tissue]:
    """Return the tissue of each label.

    The last (closest) table counts. Without one, the labels of the pipeline count; they are empty
    if they are not known.

    Raises
    ------
    BadInput
        If the table cannot be read, or an index in it is no whole number.
    """
    if not tables:
        return dict(PIPELINE_LABELS.get(pipeline, {}))
    tissues: dict[int, Tissue] = {}
    for column in ("name", "abbreviation"):
        for index, names in read_column(tables[-1], "index", column).items():
            label = _parse_label(index, tables[-1])
            for tissue in Tissue:
                if _is_named(tissue, names):
                    tissues[label] = tissue
    return tissues


def read_label_names(tables: Sequence[Path]) -> dict[int, str]:
    """Return the name of each label but the background (0), from the last (closest) table."""
    if not tables:
        return {}
    column = read_column(tables[-1], "index", "name")
    names = {_parse_label(index, tables[-1]): min(labels) for index, labels in column.items()}
    return {label: name for label, name in names.items() if label != 0}


def read_regions(
    parcellation: Parcellation, shape: tuple[int, int, int], affine: Float[np.ndarray, "4 4"]
) -> Int[np.ndarray, "x y z"]:
    """Read the labels of a parcellation on a canonical grid; the nearest voxel counts.

    Raises
    ------
    InputMissing
        If the file does not exist.
    BadInput
        If it is damaged.
    """
    labels = read_on_grid(parcellation.path, shape, affine, spline_order=0)
    return np.asarray(np.rint(labels), dtype=np.int32)


def read_tissue(
    segmentation: Segmentation, shape: tuple[int, int, int], affine: Float[np.ndarray, "4 4"]
) -> Int[np.ndarray, "x y z"]:
    """Read a segmentation on a canonical grid, as values of `Tissue`; 0 is everything else.

    Raises
    ------
    InputMissing
        If one of its files does not exist.
    BadInput
        If one of them is damaged.
    """
    if isinstance(segmentation, LabelImage):
        return _read_labels(segmentation, shape, affine)
    return _read_probabilities(segmentation, shape, affine)


def _read_labels(
    segmentation: LabelImage, shape: tuple[int, int, int], affine: Float[np.ndarray, "4 4"]
) -> Int[np.ndarray, "x y z"]:
    """Read a label image; the label of the nearest voxel counts."""
    labels = np.rint(read_on_grid(segmentation.path, shape, affine, spline_order=0))
    tissue = np.zeros(shape, dtype=np.int32)
    for index, value in segmentation.labels.items():
        tissue[labels == index] = value
    return tissue


def _read_probabilities(
    segmentation: ProbabilityMaps, shape: tuple[int, int, int], affine: Float[np.ndarray, "4 4"]
) -> Int[np.ndarray, "x y z"]:
    """Read the most probable tissue of each voxel."""
    paths = segmentation.paths
    maps = [read_on_grid(path, shape, affine, spline_order=1) for path in paths.values()]
    probabilities = np.stack(maps)
    most_probable = np.array(list(paths), dtype=np.int32)[probabilities.argmax(axis=0)]
    has_tissue = probabilities.sum(axis=0) >= MIN_TISSUE_PROBABILITY
    return np.where(has_tissue, most_probable, np.int32(0))


def _parse_label(index: str, table: Path) -> int:
    """Parse a cell of the column `index`; pandas also writes 1.0."""
    try:
        number = float(index)
    except ValueError:
        number = np.nan
    if not number.is_integer():
        remedy = "The column `index` holds the whole numbers of the labels."
        raise_bad_input(table, f"the index {index!r}", remedy)
    return int(number)


def _is_named(tissue: Tissue, names: set[str]) -> bool:
    """Return whether one of the names is that of a tissue."""
    spellings = (name.replace("_", " ").replace("-", " ") for name in names)
    return any(TISSUE_NAME_PATTERNS[tissue].fullmatch(spelling) for spelling in spellings)
