"""How a prediction lies to what was measured in a held-out subject, tissue by tissue: differences, counts, power."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Integer

from bids_shresnet.agreement import BINS, Agreement, Power, differences, joint_histogram
from bids_shresnet.diffusion.comparison import TISSUES, Looks, by_tissue
from bids_shresnet.diffusion.harmonics import l_values, stacked_orders
from bids_shresnet.diffusion.rish import noise_power, rish
from bids_shresnet.scans import Matched, Shell

Place = tuple[str, int, str]  # subject, fold, method


def agreements(place: Place, matched: Matched, measured: Looks, found: Looks) -> Iterator[Agreement]:
    """A row for every tissue that there is enough of, and quantity."""
    for tissue, inside in by_tissue(matched.tissue):
        for quantity, values in measured.quantities().items():
            summary = differences(values[inside], found.quantities()[quantity][inside])
            yield Agreement(*place, tissue, quantity, *summary)


def joint_histograms(matched: Matched, measured: Looks, found: Looks) -> Integer[np.ndarray, "tissue quantity b b"]:
    """Of every tissue and quantity; of a tissue that there is too little of, zeros."""
    quantities = measured.quantities()
    counts = np.zeros((len(TISSUES), len(quantities), BINS, BINS), np.uint32)
    for tissue, inside in by_tissue(matched.tissue):
        for column, (quantity, values) in enumerate(quantities.items()):
            pair = (values[inside], found.quantities()[quantity][inside])
            counts[list(TISSUES).index(tissue), column] = joint_histogram(*pair, quantity)
    return counts


def powers(place: Place, matched: Matched, looks: Looks, shells: Sequence[Shell], *, denoised: bool) -> Iterator[Power]:
    """Mean power of each order of each shell.

    Noise adds to the power of every order. To a prediction that is free of it (`denoised`) the noise of the target's
    scan is added, in the mean and as if it were Gaussian, so that all is compared as it would be measured.
    """
    inverse = np.linalg.pinv(matched.matrix.astype(np.float64)).T
    groups = stacked_orders(shells)
    power = rish(looks.signal @ inverse, groups)
    if denoised:
        power = power + np.nan_to_num(matched.noise)[:, None] * noise_power(inverse, groups)
    names = [(shell.bvalue, int(order)) for shell in shells for order in np.unique(l_values(shell.sh_order))]
    for tissue, inside in by_tissue(matched.tissue):
        for (bvalue, order), mean in zip(names, power[inside].mean(axis=0), strict=True):
            yield Power(*place, tissue, bvalue, order, float(mean))
