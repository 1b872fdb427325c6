"""Spherical harmonics: DIPY's real, symmetric basis `real_sh_descoteaux` with legacy=False.

Coefficients are ordered by l = 0, 2, 4, ... and, inside an order, m = -l ... l. With several
shells they are stacked shell after shell, and matrices over them are block-diagonal.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from dipy.core.geometry import cart2sphere
from dipy.reconst.shm import real_sh_descoteaux
from jaxtyping import Float, Int
from scipy.linalg import block_diag

from bids_shresnet.scans import Shell

# Recorded in every model, because coefficients mean nothing without it.
SH_BASIS_NAME = "real_sh_descoteaux, legacy=False"
LAPLACE_BELTRAMI_WEIGHT = 0.006  # of Descoteaux et al. 2007, the paper's choice
FULL_ORDER = 4
REDUCED_ORDER = 2


def choose_sh_order(directions: int, requested: int | None = None) -> int:
    """SH order of a shell: as requested, else 4, or 2 if 15 coefficients exceed the directions."""
    if requested is not None:
        return requested
    return FULL_ORDER if directions >= sh_coefficient_count(FULL_ORDER) else REDUCED_ORDER


def sh_coefficient_count(sh_order: int) -> int:
    """Number of coefficients up to an even order."""
    return Shell(0.0, sh_order).coefficient_count


def l_values(sh_order: int) -> Int[np.ndarray, " c"]:
    """Order l of every coefficient: 0, 2, 2, 2, 2, 2, 4, ..."""
    orders = range(0, sh_order + 1, 2)
    return np.concatenate([np.full(2 * order + 1, order) for order in orders])


def basis(bvecs: Float[np.ndarray, "n 3"], sh_order: int) -> Float[np.ndarray, "n c"]:
    """Evaluate the basis in the directions of unit vectors (world axes)."""
    _, theta, phi = cart2sphere(*bvecs.T)
    matrix, _, _ = real_sh_descoteaux(sh_order, theta, phi, legacy=False)
    return np.asarray(matrix, dtype=np.float64)


def fitting_matrix(
    bvecs: Float[np.ndarray, "n 3"], sh_order: int, *, smoothing: float = LAPLACE_BELTRAMI_WEIGHT
) -> Float[np.ndarray, "c n"]:
    """Regularized least squares as one matrix: (B'B + lambda L)^-1 B', L = diag(l^2 (l + 1)^2).

    It multiplies order l by about d / (d + lambda l^2 (l + 1)^2) with d = directions / (4 pi), so
    measured labels are fitted without smoothing, and scans with `shell_fitting_matrix`.
    Source: Descoteaux et al. 2007, doi 10.1002/mrm.21277.
    """
    b = basis(bvecs, sh_order)
    orders = l_values(sh_order)
    laplacian = np.diag((orders * (orders + 1.0)) ** 2)
    return np.linalg.solve(b.T @ b + smoothing * laplacian, b.T)


def shell_fitting_matrix(bvecs: Float[np.ndarray, "n 3"], shell: Shell) -> Float[np.ndarray, "c n"]:
    """Fitting matrix whose smoothing grows with the number of directions.

    Amplitudes then do not depend on how many directions a scan has: lambda is that of Descoteaux et
    al. at the shell's `direction_count`.
    """
    share = len(bvecs) / (shell.direction_count or len(bvecs))
    return fitting_matrix(bvecs, shell.sh_order, smoothing=LAPLACE_BELTRAMI_WEIGHT * share)


def evaluation_matrix(
    directions: Sequence[Float[np.ndarray, "_ 3"]], shells: Sequence[Shell]
) -> Float[np.ndarray, "total c"]:
    """Block-diagonal matrix from stacked coefficients to the signal in each shell's directions."""
    blocks = [basis(table, shell.sh_order) for table, shell in zip(directions, shells, strict=True)]
    return np.asarray(block_diag(*blocks))


def order_indices(shells: Sequence[Shell]) -> tuple[Int[np.ndarray, " _"], ...]:
    """Indices of the stacked coefficients that form one order of one shell, shell after shell."""
    groups: list[Int[np.ndarray, " _"]] = []
    start = 0
    for shell in shells:
        orders = l_values(shell.sh_order)
        groups += [start + np.flatnonzero(orders == value) for value in np.unique(orders)]
        start += shell.coefficient_count
    return tuple(groups)
