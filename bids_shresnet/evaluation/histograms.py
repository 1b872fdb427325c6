"""Joint histograms of held-out subjects: what the target measured against what the source shows.

They are small enough to be stored with a model, so that figures can be drawn without the scans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer

from bids_shresnet.evaluation.quantities import Quantities, tissue_masks
from bids_shresnet.evaluation.results import QUANTITIES, TISSUES
from bids_shresnet.io.safetensors import read_arrays, read_record, serialize_arrays
from bids_shresnet.io.storage import write_bytes
from bids_shresnet.pairs import MatchedVoxels

HISTOGRAM_BINS = 60  # along each axis of a joint histogram
QUANTITY_RANGES: Mapping[str, tuple[float, float]] = {
    "signal": (0.0, 1.0),
    "FA": (0.0, 1.0),
    "MD": (0.0, 0.003),  # mm2/s
}
COUNTS_KEY = "counts"


@dataclass(frozen=True)
class Histograms:
    """Joint histograms of all held-out subjects.

    Attributes
    ----------
    counts
        By subject, state (`SCAN_STATES`), tissue (`TISSUES`), quantity (`QUANTITIES`), bin of the
        target's measurement and bin of the source's value. Bins divide `QUANTITY_RANGES`; the
        outermost ones hold all values beyond.
    subjects
        Their labels.
    """

    counts: Integer[np.ndarray, "subject state tissue quantity b b"]
    subjects: tuple[str, ...]


def concatenate_histograms(parts: Sequence[Histograms]) -> Histograms:
    """Join the subjects of all parts."""
    subjects: list[str] = []
    for part in parts:
        subjects += part.subjects
    return Histograms(np.concatenate([part.counts for part in parts]), tuple(subjects))


def write_histograms(file: Path, histograms: Histograms) -> None:
    """Write the counts and the labels of their subjects."""
    record = {"subjects": list(histograms.subjects)}
    write_bytes(file, serialize_arrays({COUNTS_KEY: histograms.counts}, record))


def read_histograms(file: Path) -> Histograms:
    """Read what `write_histograms` wrote."""
    counts = read_arrays(file)[COUNTS_KEY]
    return Histograms(counts, tuple(read_record(file)["subjects"]))


def joint_histograms(
    matched: MatchedVoxels, measured: Quantities, source: Quantities
) -> Integer[np.ndarray, "tissue quantity b b"]:
    """Return one histogram per tissue and quantity; zeros for tissues with too few voxels."""
    measured_values = measured.to_dict()
    source_values = source.to_dict()
    shape = (len(TISSUES), len(QUANTITIES), HISTOGRAM_BINS, HISTOGRAM_BINS)
    counts = np.zeros(shape, np.uint32)
    for tissue, mask in tissue_masks(matched.tissue):
        for column, quantity in enumerate(QUANTITIES):
            counts[TISSUES.index(tissue), column] = joint_histogram(
                measured_values[quantity][mask], source_values[quantity][mask], quantity
            )
    return counts


def joint_histogram(
    measured: Float[np.ndarray, "..."], value: Float[np.ndarray, "..."], quantity: str
) -> Integer[np.ndarray, "b b"]:
    """Count pairs of values, with the measured ones along the first axis."""
    rows = _bin_indices(measured, quantity)
    columns = _bin_indices(value, quantity)
    counts = np.bincount(rows * HISTOGRAM_BINS + columns, minlength=HISTOGRAM_BINS**2)
    return counts.reshape(HISTOGRAM_BINS, HISTOGRAM_BINS).astype(np.uint32)


def bland_altman(counts: Integer[np.ndarray, "b b"]) -> Integer[np.ndarray, "b d"]:
    """Rotate a joint histogram to means (first axis) and differences, source minus target.

    The b bins become b bins of the mean and 2 b - 1 bins of the difference. Each pair of bins has a
    bin of its own, so no count is merged or lost; means of odd differences are half a bin too low.
    """
    size = len(counts)
    measured, value = np.indices(counts.shape)
    rotated = np.zeros((size, 2 * size - 1), counts.dtype)
    rotated[(measured + value) // 2, value - measured + size - 1] = counts
    return rotated


def _bin_indices(values: Float[np.ndarray, "..."], quantity: str) -> Integer[np.ndarray, " v"]:
    """Bin of each value; values beyond the range are in the outermost bins."""
    low, high = QUANTITY_RANGES[quantity]
    indices = (HISTOGRAM_BINS * (values.ravel() - low) / (high - low)).astype(np.int64)
    return np.clip(indices, 0, HISTOGRAM_BINS - 1)
