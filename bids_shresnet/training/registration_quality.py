"""How well the two scans of a travelling subject correspond, and which subjects cannot be used.

A wrong head under a right name, a head flipped left-right, or one that was hardly in the field of
view still gives a registration. It shows in how well the source predicts the target there: far
worse than in the other subjects.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from bids_shresnet.network.patches import CENTRE_INDEX
from bids_shresnet.pairs import MatchedVoxels, RegistrationQuality
from bids_shresnet.scans import Tissue

MAX_VOXELS = 20_000  # that are compared; more take longer and change nothing
# A subject is excluded if a correlation is below the median of all by more than this, and by more
# than so many robust standard deviations
MIN_CORRELATION_DROP = 0.06
MAX_DEVIATIONS = 5.0
MAD_TO_DEVIATION = 1.4826  # of a normal distribution
MIN_OVERLAP = 0.2  # of the target's voxels that lie in the source's brain
QUANTITIES: Mapping[str, str] = {
    "signal_correlation": "the signal of both scans is correlated",
    "orientation_correlation": "the directions of both scans are correlated",
}


def measure_quality(matched: MatchedVoxels, overlap: float) -> RegistrationQuality:
    """Correlate the source's signal with the target's at matched voxels.

    Parameters
    ----------
    matched
        Matched voxels of both scans.
    overlap
        Share of the target's voxels that lie in the source's brain.
    """
    step = max(1, len(matched.signal) // MAX_VOXELS)
    coefficients = matched.patches[::step, CENTRE_INDEX, : matched.sh_matrix.shape[1]]
    source = np.asarray(coefficients @ matched.sh_matrix.T, np.float64)
    target = np.asarray(matched.signal[::step], np.float64)
    is_white = np.asarray(matched.tissue[::step]) == Tissue.WM
    source_means = _shell_means(source, matched.bvals)
    target_means = _shell_means(target, matched.bvals)
    return RegistrationQuality(
        overlap=overlap,
        signal_correlation=_correlate(source_means, target_means),
        orientation_correlation=_correlate(
            (source - source_means)[is_white], (target - target_means)[is_white]
        ),
    )


def find_outliers(qualities: Mapping[str, RegistrationQuality]) -> dict[str, str]:
    """Find subjects whose scans do not correspond, with the reason for each.

    Parameters
    ----------
    qualities
        Of all travelling subjects of a pair, by label.
    """
    reasons = {}
    for subject, quality in qualities.items():
        if quality.overlap < MIN_OVERLAP:
            share = f"only {quality.overlap:.0%} of the target's tissue lies in the source's brain"
            reasons[subject] = f"{share}: the field of view of one scan misses the head"
    for quantity, text in QUANTITIES.items():
        values = {name: getattr(quality, quantity) for name, quality in qualities.items()}
        limit = _lowest_usual_value(np.array(list(values.values())))
        median = np.median(list(values.values()))
        for subject, value in values.items():
            if value < limit:
                problem = f"{text} by {value:.2f} only, in other subjects by {median:.2f}"
                advice = "another head, a left-right flip, or a failed registration"
                reasons.setdefault(subject, f"{problem}: {advice}")
    return reasons


def _lowest_usual_value(values: Float[np.ndarray, " n"]) -> float:
    """Return the value below which a subject is unlike the others."""
    median = np.median(values)
    deviation = MAD_TO_DEVIATION * np.median(np.abs(values - median))
    return float(median - max(MIN_CORRELATION_DROP, MAX_DEVIATIONS * deviation))


def _shell_means(
    signal: Float[np.ndarray, "v d"], bvals: Float[np.ndarray, " d"]
) -> Float[np.ndarray, "v d"]:
    """Replace each value by the mean over the directions of its shell."""
    means = np.empty_like(signal)
    for bvalue in np.unique(bvals):
        is_shell = bvals == bvalue
        means[:, is_shell] = signal[:, is_shell].mean(axis=1, keepdims=True)
    return means


def _correlate(source: Float[np.ndarray, "v d"], target: Float[np.ndarray, "v d"]) -> float:
    """Return Pearson's correlation of all values; 0 where one of them does not vary."""
    if source.size < 2 or not source.std() or not target.std():
        return 0.0
    return float(np.corrcoef(source.ravel(), target.ravel())[0, 1])
