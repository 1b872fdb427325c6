"""The signal at another b-value, if it decays by one exponential in each direction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from dipy.data import get_sphere
from jaxtyping import Float

from bids_shresnet.diffusion.attenuation import MAX_RELATIVE_SIGNAL
from bids_shresnet.diffusion.harmonics import basis
from bids_shresnet.scans import Shell

MIN_SIGNAL = 1e-3  # S/S0; powers of less would be noise
SPHERE = "repulsion100"


def change_bvalues(
    coefficients: Float[np.ndarray, "v c"], shells: Sequence[Shell], bvalues: Sequence[float]
) -> Float[np.ndarray, "v c"]:
    """Bring the coefficients of each shell to another b-value (s/mm2).

    S/S0 is raised to the power of the ratio of the b-values, in directions all over the sphere.
    A shell that has its b-value already is not changed.
    """
    parts = []
    start = 0
    for shell, bvalue in zip(shells, bvalues, strict=True):
        part = coefficients[:, start : start + shell.coefficient_count]
        parts.append(_change_bvalue(part, shell, bvalue / shell.bvalue))
        start += shell.coefficient_count
    return np.concatenate(parts, axis=1)


def _change_bvalue(
    coefficients: Float[np.ndarray, "v c"], shell: Shell, ratio: float
) -> Float[np.ndarray, "v c"]:
    if ratio == 1:
        return coefficients
    matrix = basis(get_sphere(name=SPHERE).vertices, shell.sh_order)
    signal = np.clip(coefficients @ matrix.T, MIN_SIGNAL, MAX_RELATIVE_SIGNAL)
    changed = signal**ratio @ np.linalg.pinv(matrix).T
    return np.asarray(changed, dtype=coefficients.dtype)
