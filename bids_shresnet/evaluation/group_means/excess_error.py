"""Error beyond that of two scans on the target scanner, and how much of it a method removes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float

from bids_shresnet.evaluation.comparison import Endpoint, subject_means
from bids_shresnet.evaluation.results import QUANTITIES, SCAN_RESCAN, TISSUES, HeldOutResult
from bids_shresnet.evaluation.statistics import Interval, bootstrap_interval
from bids_shresnet.settings import NO_HARMONIZATION


@dataclass(frozen=True)
class ExcessError:
    """The excess over the scan-rescan error, in one tissue and quantity.

    Attributes
    ----------
    n
        Subjects with two scans on the target.
    scan_rescan_error
        NMSE of the target's second scan, mean over subjects.
    removed
        Share of no harmonization's excess over it that the method removes. 1: as close to the
        target's scan as a second scan on the target. It may be above 1, because a second scan has
        noise of its own.
    interval
        95 % bootstrap interval over subjects; NaN for very few subjects. Where the excess is so
        small that some resamples of the subjects have none, the interval has no upper limit if the
        method lowers the error of these, and no lower limit if it raises it.
    """

    method: str
    tissue: str
    quantity: str
    n: int
    scan_rescan_error: float
    removed: float
    interval: Interval


def summarize_excess(rows: Iterable[HeldOutResult], method: str) -> tuple[ExcessError, ...]:
    """Compare with the scan-rescan error wherever it is known and lower than without method."""
    table = tuple(rows)
    endpoints = [
        Endpoint(method, tissue, quantity) for tissue, quantity in product(TISSUES, QUANTITIES)
    ]
    results = [_summarize_endpoint(table, endpoint) for endpoint in endpoints]
    return tuple(result for result in results if result)


def removed_share(errors: Float[np.ndarray, "3 m n"]) -> Float[np.ndarray, " m"]:
    """Share of the excess that is gone, from mean errors over n subjects.

    It grows without limit as the excess goes to zero. Without excess it is therefore infinite, with
    the sign of the decrease of the error.

    Parameters
    ----------
    errors
        Of the method, of no harmonization, and of the target's second scan.
    """
    error, input_error, floor = errors.mean(axis=-1)
    decrease = input_error - error
    excess = input_error - floor
    limit = np.where(decrease == 0, 0, np.copysign(np.inf, decrease))
    removed: Float[np.ndarray, " m"] = np.divide(decrease, excess, out=limit, where=excess > 0)
    return removed


def _summarize_endpoint(rows: tuple[HeldOutResult, ...], endpoint: Endpoint) -> ExcessError | None:
    methods = (endpoint.method, NO_HARMONIZATION, SCAN_RESCAN)
    errors = [subject_means(rows, endpoint._replace(method=method)) for method in methods]
    subjects = sorted(set.intersection(*map(set, errors)))
    values = np.array([list(map(item.__getitem__, subjects)) for item in errors])
    if not subjects or values[1].mean() <= values[2].mean():
        return None
    return ExcessError(
        method=endpoint.method,
        tissue=endpoint.tissue,
        quantity=endpoint.quantity,
        n=len(subjects),
        scan_rescan_error=float(values[-1].mean()),
        removed=float(removed_share(values[:, None])[0]),
        interval=bootstrap_interval(values, removed_share),
    )
