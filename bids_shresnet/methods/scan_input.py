"""A scan as methods see it, and the ways in which they predict from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.bvalues import change_bvalues
from bids_shresnet.diffusion.representation import Representation, unregularized_coefficients
from bids_shresnet.methods.harmonizer import Harmonizer
from bids_shresnet.methods.networks.denoiser import Denoiser
from bids_shresnet.scans import Dwi


@dataclass(frozen=True)
class ScanInput:
    """A scan to predict from.

    Attributes
    ----------
    dwi
        The scan as measured.
    representation
        Its shells, in the brain mask.
    target_bvalues
        b-value of each shell on the target scanner, s/mm2.
    """

    dwi: Dwi
    representation: Representation
    target_bvalues: Sequence[float]


def predict_from_image(harmonizer: Harmonizer, scan: ScanInput) -> Float[np.ndarray, "v c"]:
    """Predict from the coefficients of all directions, as most methods do."""
    return harmonizer.predict(scan.representation.image)


def predict_measured(_: Harmonizer, scan: ScanInput) -> Float[np.ndarray, "v c"]:
    """Bring the measured signal to the target's b-values, with all of its noise."""
    shells = scan.representation.image.shells
    measured = unregularized_coefficients(scan.representation)
    return change_bvalues(measured, shells, scan.target_bvalues)


def predict_denoised(harmonizer: Harmonizer, scan: ScanInput) -> Float[np.ndarray, "v c"]:
    """Denoise the scan by halves, and bring it to the target's b-values."""
    assert isinstance(harmonizer, Denoiser)
    image = scan.representation.image
    denoised = harmonizer.denoise(scan.dwi, image.mask, image.shells)
    return change_bvalues(denoised, image.shells, scan.target_bvalues)
