"""From a scan to what the methods work on: shells of S/S0 and their spherical harmonics.

This is not in `representation.py`, because power and noise are measured from a representation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.attenuation import compute_attenuation, mean_b0
from bids_shresnet.diffusion.bvalues import change_signal_bvalues
from bids_shresnet.diffusion.contrast import s0_contrast
from bids_shresnet.diffusion.harmonics import shell_fitting_matrix
from bids_shresnet.diffusion.noise import ShellSignal, estimate_noise_variance, measure_powers
from bids_shresnet.diffusion.representation import Representation, mean_signal
from bids_shresnet.diffusion.shells import find_shell_volumes
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tissue import find_csf, parenchyma_mask
from bids_shresnet.scans import Dwi, Shell, ShImage


def represent_dwi(
    dwi: Dwi, mask: Bool[np.ndarray, "x y z"], shells: Sequence[Shell]
) -> Representation:
    """Divide by S0 and fit each shell's harmonics inside the mask.

    The signal of each volume is first brought from its own b-value to that of the shell, so that
    scans with slightly other b-values have the signal that the methods know.

    Raises
    ------
    ValueError
        If the scan lacks a shell.
    """
    attenuation = compute_attenuation(dwi, mask)
    volumes = find_shell_volumes(dwi.bvals, shells)
    directions = tuple(dwi.bvecs[indices] for indices in volumes)
    used = np.concatenate(volumes)
    bvals = np.repeat([shell.bvalue for shell in shells], [len(table) for table in directions])
    signal = change_signal_bvalues(attenuation.signal[:, used], 1.0, dwi.bvals[used], bvals)
    ends = np.cumsum([len(table) for table in directions])
    parts = np.split(signal, ends[:-1], axis=1)
    shell_signals = [ShellSignal(*items) for items in zip(shells, directions, parts, strict=True)]
    coefficients = [
        part.signal @ shell_fitting_matrix(part.directions, part.shell).astype(np.float32).T
        for part in shell_signals
    ]
    s0 = mean_b0(dwi)
    image = ShImage(
        coefficients=unmask(np.concatenate(coefficients, axis=1), mask),
        mask=mask,
        affine=dwi.affine,
        shells=tuple(shells),
        contrast=s0_contrast(s0, mask, dwi.affine),
    )
    return Representation(
        image=image,
        volumes=volumes,
        signal=signal,
        directions=directions,
        clipped_share=attenuation.clipped_share,
        noise_variance=estimate_noise_variance(dwi, mask, s0, shell_signals),
    )


def represent_source(
    dwi: Dwi, mask: Bool[np.ndarray, "x y z"], shells: Sequence[Shell]
) -> Representation:
    """Represent a scan that is harmonized: as `represent_dwi`, and its `order_2_power`."""
    representation = represent_dwi(dwi, mask, shells)
    power = _measure_order_2_power(representation, mean_b0(dwi))
    return replace(representation, image=replace(representation.image, order_2_power=power))


def _measure_order_2_power(
    representation: Representation, s0: Float[np.ndarray, "x y z"]
) -> Float[np.ndarray, "x y z s"]:
    """Measure what `ShImage.order_2_power` holds."""
    mask = representation.image.mask
    powers = [
        power[:, 1] - noise_power[1] * representation.noise_variance
        for power, noise_power in measure_powers(representation)
    ]
    parenchyma = parenchyma_mask(s0, mask)
    is_csf = find_csf(mean_signal(representation), parenchyma)
    measured = unmask(np.stack(powers, axis=1).astype(np.float32), mask, fill=np.nan)
    measured[~parenchyma | is_csf] = np.nan
    return measured
