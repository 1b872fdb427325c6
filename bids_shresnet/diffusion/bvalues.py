"""The signal at another b-value, if it decays by one exponential in each direction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.attenuation import MAX_RELATIVE_SIGNAL, MIN_RELATIVE_SIGNAL
from bids_shresnet.diffusion.harmonics import basis
from bids_shresnet.scans import Shell

SPHERE = "repulsion100"


def change_signal_bvalues(
    signal: Float[np.ndarray, "v d"],
    s0: Float[np.ndarray, "v 1"] | float,
    bvals: Float[np.ndarray, " d"],
    new_bvals: Sequence[float] | Float[np.ndarray, " d"],
) -> Float[np.ndarray, "v d"]:
    """Bring signal to other b-values by mono-exponential decay: S/S0 becomes (S/S0)^(new b / b).

    This keeps the diffusion tensor of a voxel. It is exact where the decay is mono-exponential; in
    brain tissue, a change of b by 5 % leaves an error below 0.1 %. Values at a b-value that does
    not change, and values that are not attenuated, stay as they are.

    Parameters
    ----------
    signal, s0
        Signal and S0 in the same units.
    bvals, new_bvals
        b-values of the columns, s/mm2.
    """
    exponents = np.asarray(new_bvals) / bvals - 1
    unattenuated = np.maximum(s0, np.finfo(np.float32).tiny)
    relative = np.minimum(signal, unattenuated) / unattenuated  # without S0, a quotient overflows
    relative = np.clip(relative, MIN_RELATIVE_SIGNAL, 1)
    return np.asarray(signal * relative ** exponents.astype(np.float32))


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
    from dipy.data import get_sphere  # loads pandas and pytest, which few runs need

    matrix = basis(get_sphere(name=SPHERE).vertices, shell.sh_order)
    signal = np.clip(coefficients @ matrix.T, MIN_RELATIVE_SIGNAL, MAX_RELATIVE_SIGNAL)
    changed = signal**ratio @ np.linalg.pinv(matrix).T
    return np.asarray(changed, dtype=coefficients.dtype)
