"""Mean power (RISH) of each order of the spherical harmonics, by tissue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.harmonics import order_indices
from bids_shresnet.diffusion.rish import noise_power, rish
from bids_shresnet.evaluation.quantities import Quantities, tissue_masks
from bids_shresnet.evaluation.results import HeldOutRow
from bids_shresnet.pairs import MatchedVoxels
from bids_shresnet.scans import Shell

TARGET_MEASUREMENT = "target"  # in place of a method: the measurement of the target scanner


@dataclass(frozen=True)
class RishPower(HeldOutRow):
    """Mean power (RISH) of one order of a shell in a tissue of a held-out subject.

    `method` is `TARGET_MEASUREMENT` for the target's own scan.
    """

    tissue: str
    bvalue: float
    order: int
    power: float


def rish_powers(
    row: HeldOutRow,
    matched: MatchedVoxels,
    quantities: Quantities,
    shells: Sequence[Shell],
    *,
    is_denoised: bool,
) -> Iterator[RishPower]:
    """Yield the mean power of each order of each shell, by tissue.

    Noise adds to the power of every order. The power of the target's noise, taken as Gaussian, is
    therefore added to denoised predictions, so that all are compared as measured.
    """
    power = _voxel_powers(matched, quantities, shells, is_denoised=is_denoised)
    for tissue, mask in tissue_masks(matched.tissue):
        means = power[mask].mean(axis=0)
        for (bvalue, order), mean in zip(shell_orders(shells), means, strict=True):
            yield RishPower(
                subject=row.subject,
                fold=row.fold,
                method=row.method,
                tissue=tissue,
                bvalue=bvalue,
                order=order,
                power=float(mean),
            )


def _voxel_powers(
    matched: MatchedVoxels, quantities: Quantities, shells: Sequence[Shell], *, is_denoised: bool
) -> Float[np.ndarray, "v orders"]:
    inverse = np.linalg.pinv(matched.sh_matrix.astype(np.float64)).T
    groups = order_indices(shells)
    power = rish(quantities.signal @ inverse, groups)
    if not is_denoised:
        return power
    variance = np.nan_to_num(matched.noise_variance)[:, None]
    return np.asarray(power + variance * noise_power(inverse, groups))


def shell_orders(shells: Sequence[Shell]) -> list[tuple[float, int]]:
    """List the b-value and order of each power, shell by shell."""
    return [(shell.bvalue, order) for shell in shells for order in range(0, shell.sh_order + 1, 2)]
