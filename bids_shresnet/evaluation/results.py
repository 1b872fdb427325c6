"""Rows of the tables about held-out subjects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TISSUES = ("WM", "GM")
QUANTITIES = ("signal", "FA", "MD")
MAP_QUANTITIES = ("FA", "MD")  # those that group studies compare
# The target scanner's second scan, scored like a method. It holds noise of its own, so its error is
# that of two measurements and no lower limit.
SCAN_RESCAN = "scan_rescan"
NOISE_FLOOR = (
    "noise_floor"  # a perfect prediction without noise; what remains is the target's noise
)
REFERENCES = (SCAN_RESCAN, NOISE_FLOOR)  # what methods are seen beside, and never compared with
ALL_PLACES = "all"
INTERIOR_PLACES = "interior"  # voxels of the source with signal on all sides
PLACES = (ALL_PLACES, INTERIOR_PLACES)


@dataclass(frozen=True)
class HeldOutRow:
    """A result of one method on one held-out subject.

    Attributes
    ----------
    subject
        Label without `sub-`.
    fold
        Number of the split that held the subject out, from 1.
    method
        Key of the method, `settings.NO_HARMONIZATION` or one of `REFERENCES`.
    """

    subject: str
    fold: int
    method: str


@dataclass(frozen=True)
class EndpointRow(HeldOutRow):
    """A result in one tissue (of `TISSUES`) and one quantity (of `QUANTITIES`)."""

    tissue: str
    quantity: str


@dataclass(frozen=True)
class HeldOutResult(EndpointRow):
    """Error and bias in one tissue and quantity.

    Attributes
    ----------
    places
        `ALL_PLACES`, which comparisons use, or `INTERIOR_PLACES`, without the brain's edge.
    nmse
        Squared differences from the target's measurement over its sum of squares.
    bias
        Mean over the tissue, relative to the mean that the target measured there, minus 1.
    mean, target_mean
        These means: S/S0 or FA without unit, MD in mm2/s.

    Raises
    ------
    ValueError
        If the tissue or quantity is unknown, or a number is not finite or negative.
    """

    places: str
    nmse: float
    bias: float
    mean: float
    target_mean: float

    def __post_init__(self) -> None:
        is_endpoint = self.tissue in TISSUES and self.quantity in QUANTITIES
        is_known = is_endpoint and self.places in PLACES
        numbers = [self.nmse, self.bias, self.mean, self.target_mean]
        is_finite = bool(np.isfinite(numbers).all())
        if not is_known or not is_finite or self.nmse < 0:
            msg = (
                f"expected a tissue of {TISSUES}, a quantity of {QUANTITIES}, places of {PLACES} "
                f"and finite errors, got {self}"
            )
            raise ValueError(msg)

    @property
    def squared_bias(self) -> float:
        """NMSE of the tissue's mean: (mean - measured)^2 / measured^2."""
        return self.bias**2


@dataclass(frozen=True)
class Orientation(HeldOutRow):
    """Agreement of directions in white matter with one main direction.

    Attributes
    ----------
    angle
        Mean angle between the principal directions of prediction and measurement, degrees.
    correlation
        Mean angular correlation of the signal (orders above 0) with the measured one.
    """

    angle: float
    correlation: float
