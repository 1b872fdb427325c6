"""Noise of the target scanner's measurements, learned from its travelling subjects.

A prediction of the signal has no noise, a measurement has. Noise raises FA, most where FA is low,
so that maps of both compare only if the prediction gets the target's noise as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ive

from bids_shresnet.diffusion.attenuation import MIN_S0_SHARE
from bids_shresnet.pairs import MatchedVoxels, TravellingSubject
from bids_shresnet.scans import B0_THRESHOLD, Tissue

MIN_VOXELS = 50  # of grey and white matter, from which a subject's noise is learned
MAX_TABLE_SIGNAL = 20.0  # in standard deviations; above it, the Rician mean has a closed form
TABLE_SIZE = 4001


@dataclass(frozen=True)
class MeasurementNoise:
    """Noise of the target scanner, as a function of S0.

    It is constant in scanner units, so that in units of S0 it is `level` x median S0 / S0. S0 is
    that of the scan to harmonize. A power of S0, fitted, was worse: noise of S0 makes its slope too
    flat, and grey matter, which is bright in S0, then gets too much noise.

    Attributes
    ----------
    level
        Standard deviation of one diffusion-weighted value, in units of S0, where S0 is the median
        of the brain.
    direction_count
        Number of weighted volumes that the target's tensor rests on.
    b0_count
        Number of b0 volumes that its S0 rests on.
    """

    level: float
    direction_count: int
    b0_count: int

    def relative_deviation(
        self, s0: Float[np.ndarray, "x y z"], mask: Bool[np.ndarray, "x y z"]
    ) -> Float[np.ndarray, " v"]:
        """Standard deviation in units of S0 at the voxels of a mask.

        `s0` is the mean b0 of a scan in any unit. S0 below `MIN_S0_SHARE` of the median counts as
        that share.
        """
        share = np.maximum(relative_s0(s0, mask)[mask], MIN_S0_SHARE)
        return np.asarray(self.level / share)


def relative_s0(
    s0: Float[np.ndarray, "x y z"], mask: Bool[np.ndarray, "x y z"]
) -> Float[np.ndarray, "x y z"]:
    """S0 over its median in the brain; all zero where that is zero."""
    median = float(np.median(s0[mask])) if mask.any() else 0.0
    return np.asarray(s0 / median if median > 0 else np.zeros_like(s0))


def learn_measurement_noise(subjects: Sequence[TravellingSubject]) -> MeasurementNoise | None:
    """Learn the target's noise: the median over training subjects.

    Returns
    -------
    None if the noise of no subject is known, as in scans without repeated or spare volumes.
    """
    fits = [_fit_subject(subject) for subject in subjects]
    known = [fit for fit in fits if fit is not None]
    if not known:
        return None
    return median_noise(known)


def median_noise(noises: Sequence[MeasurementNoise]) -> MeasurementNoise:
    """Median of each property over at least one fit."""
    return MeasurementNoise(
        level=float(np.median([noise.level for noise in noises])),
        direction_count=round(float(np.median([noise.direction_count for noise in noises]))),
        b0_count=round(float(np.median([noise.b0_count for noise in noises]))),
    )


def _fit_subject(subject: TravellingSubject) -> MeasurementNoise | None:
    """Median over voxels of the noise times S0, which is constant; None if it is not known."""
    matched = subject.matched
    rows = _usable_rows(matched)
    if rows.sum() < MIN_VOXELS:
        return None
    deviation = np.sqrt(matched.noise_variance[rows].astype(np.float64))
    bvals = subject.unharmonized.target_tensor_bvals
    return MeasurementNoise(
        level=float(np.median(deviation * matched.source_s0[rows])),
        direction_count=int((bvals >= B0_THRESHOLD).sum()),
        b0_count=count_b0_volumes(subject),
    )


def count_b0_volumes(subject: TravellingSubject) -> int:
    """Number of b0 volumes that S0 of the target's scan rests on."""
    return int((subject.unharmonized.target_tensor_bvals < B0_THRESHOLD).sum())


def _usable_rows(matched: MatchedVoxels) -> Bool[np.ndarray, " v"]:
    """Rows of grey and white matter with a known noise and an S0 above background."""
    rows = np.isin(matched.tissue, [Tissue.GM, Tissue.WM])
    rows &= np.nan_to_num(matched.noise_variance) > 0
    rows &= np.asarray(matched.source_s0) > MIN_S0_SHARE
    return np.asarray(rows)


def remove_rician_mean(
    signal: Float[np.ndarray, "v d"], deviation: Float[np.ndarray, " v"]
) -> Float[np.ndarray, "v d"]:
    """Return the signal whose measurements have this mean: the inverse of `rician_mean`.

    What is trained on magnitude images predicts their mean E|S + n| and not S. The inversion is for
    predictions, which have no noise; of a noisy voxel it would follow the noise (Koay and Basser
    2006, doi 10.1016/j.jmr.2006.01.016).

    Parameters
    ----------
    signal
        Predicted means, in any unit.
    deviation
        Standard deviation of the noise of each voxel, in the same unit. 0 changes nothing.

    Returns
    -------
    At least 0, which stands for all means at or below that of noise alone.
    """
    sigma = deviation[:, None]
    is_noisy = sigma > 0
    ratio = np.divide(signal, sigma, out=np.zeros(signal.shape), where=is_noisy)
    signals, means = _rician_table()
    low = np.interp(ratio, means, signals)
    high = np.sqrt(np.maximum(np.square(ratio) - 1, 0))  # the mean's expansion for a high signal
    corrected = np.where(ratio < means[-1], low, high) * sigma
    return np.where(is_noisy, corrected, signal).astype(signal.dtype)


def rician_mean(
    signal: Float[np.ndarray, "*n"], deviation: Float[np.ndarray, "*#n"] | float
) -> Float[np.ndarray, "*n"]:
    """Mean magnitude E|S + n| of a signal with complex noise of a standard deviation above 0."""
    half_power = np.square(signal / deviation) / 4
    mean = (1 + 2 * half_power) * ive(0, half_power) + 2 * half_power * ive(1, half_power)
    return np.asarray(np.sqrt(np.pi / 2) * mean * deviation)


@cache
def _rician_table() -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Signals and their Rician means, for a standard deviation of 1."""
    signals = np.linspace(0, MAX_TABLE_SIGNAL, TABLE_SIZE)
    return signals, rician_mean(signals, 1.0)


def draw_measurement(
    signal: Float[np.ndarray, "v d"], deviation: Float[np.ndarray, " v"], rng: np.random.Generator
) -> Float[np.ndarray, "v d"]:
    """Draw one magnitude |S + n| of each value with Rician noise of a deviation per voxel."""
    sigma = deviation[:, None].astype(signal.dtype)
    real = signal + sigma * rng.standard_normal(signal.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(signal.shape, dtype=np.float32)
    return np.hypot(real, imaginary)
