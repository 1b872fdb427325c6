"""Values far from those of other scans of the same scanner."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Modified z-score from which a value is an outlier (Iglewicz and Hoaglin 1993)
MAX_MODIFIED_Z_SCORE = 3.5
MEDIAN_TO_SD = 0.6745  # median absolute deviation of a normal distribution, in its SD
MIN_SCANS_FOR_OUTLIERS = 5  # of one scanner


def find_outliers(values: Sequence[float]) -> list[bool]:
    """Mark values far from the median, by their modified z-score; NaN is none.

    Fewer values than `MIN_SCANS_FOR_OUTLIERS`, or mostly equal ones, have no outlier.
    """
    known = np.array(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if len(known) < MIN_SCANS_FOR_OUTLIERS:
        return [False] * len(values)
    median = np.median(known)
    deviation = np.median(np.abs(known - median))
    if deviation == 0:
        return [False] * len(values)
    limit = MAX_MODIFIED_Z_SCORE * deviation / MEDIAN_TO_SD
    return [bool(abs(value - median) > limit) for value in values]
