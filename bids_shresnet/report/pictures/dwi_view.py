"""What a DWI shows at some voxels, so that its pictures compare with those of another DWI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from bids_shresnet.diffusion.attenuation import compute_attenuation, mean_b0
from bids_shresnet.diffusion.harmonics import order_indices, shell_fitting_matrix
from bids_shresnet.diffusion.rish import noise_power, rish
from bids_shresnet.diffusion.shells import find_shell_volumes
from bids_shresnet.diffusion.tensors import TensorValues, fit_dwi_tensor
from bids_shresnet.scans import Dwi, Shell


@dataclass(frozen=True, kw_only=True)
class DwiView:
    """Some voxels of a DWI.

    Attributes
    ----------
    tensor
        FA, MD and principal direction, from the b0 volumes and the viewed shells.
    signal
        S/S0 of one volume.
    power
        RISH of each order of each shell, shell after shell, with the power of noise.
    s0
        Mean b0, in the scan's units.
    volume, direction
        Index of that volume, and its b-vector along the world axes.
    angle_degrees
        Angle between the requested direction and that of the volume.
    """

    tensor: TensorValues
    signal: Float[np.ndarray, " v"]
    power: Float[np.ndarray, "v o"]
    s0: Float[np.ndarray, " v"]
    volume: int
    direction: tuple[float, ...]
    angle_degrees: float


def view_dwi(
    dwi: Dwi,
    mask: Bool[np.ndarray, "x y z"],
    shells: Sequence[Shell],
    direction: Float[np.ndarray, " 3"],
    noise_variance: Float[np.ndarray, " v"] | None = None,
) -> DwiView:
    """View some voxels of some shells, and the volume of the middle shell nearest to a direction.

    Parameters
    ----------
    noise_variance
        Variance of the noise that a measurement of a denoised signal would have, (S/S0)^2. Its
        power is added, as the group report does. None for signals that have noise.

    Raises
    ------
    ValueError
        If the scan lacks a shell.
    """
    shell_volumes = find_shell_volumes(dwi.bvals, shells)
    signal = compute_attenuation(dwi, mask).signal
    power = _measured_power(dwi, signal, shells, noise_variance)
    nearest, angle = nearest_volume(dwi, shell_volumes[len(shells) // 2], direction)
    used_volumes = np.concatenate([np.flatnonzero(dwi.is_b0), *shell_volumes])
    return DwiView(
        tensor=fit_dwi_tensor(dwi, mask, used_volumes),
        signal=signal[:, nearest],
        power=power,
        s0=mean_b0(dwi)[mask],
        volume=nearest,
        direction=tuple(float(value) for value in dwi.bvecs[nearest]),
        angle_degrees=angle,
    )


def _measured_power(
    dwi: Dwi,
    signal: Float[np.ndarray, "v n"],
    shells: Sequence[Shell],
    noise_variance: Float[np.ndarray, " v"] | None,
) -> Float[np.ndarray, "v o"]:
    """Power of each order of each shell, as it would be measured."""
    powers = []
    for volumes, shell in zip(find_shell_volumes(dwi.bvals, shells), shells, strict=True):
        inverse = shell_fitting_matrix(dwi.bvecs[volumes], shell).T
        orders = order_indices([shell])
        power = rish(signal[:, volumes] @ inverse, orders)
        if noise_variance is not None:
            power = power + noise_variance[:, None] * noise_power(inverse, orders)
        powers.append(power)
    return np.concatenate(powers, axis=1)


def nearest_volume(
    dwi: Dwi, volumes: Int[np.ndarray, " k"], direction: Float[np.ndarray, " 3"]
) -> tuple[int, float]:
    """Find the volume whose axis is nearest to a direction.

    Returns
    -------
    Its index, and the angle between both axes in degrees.
    """
    cosines = np.abs(dwi.bvecs[volumes] @ direction)
    best = int(cosines.argmax())
    return int(volumes[best]), float(np.degrees(np.arccos(min(1.0, cosines[best]))))


def middle_direction(dwi: Dwi, shells: Sequence[Shell]) -> Float[np.ndarray, " 3"]:
    """Direction of the middle volume of the middle shell."""
    volumes = find_shell_volumes(dwi.bvals, shells)[len(shells) // 2]
    return np.asarray(dwi.bvecs[volumes[len(volumes) // 2]], dtype=np.float64)


def select_voxels(view: DwiView, index: Int[np.ndarray, " w"]) -> DwiView:
    """Select voxels of a view, in any order and also several times."""
    tensor = TensorValues(
        fa=view.tensor.fa[index],
        md=view.tensor.md[index],
        direction=view.tensor.direction[index],
    )
    return replace(
        view,
        tensor=tensor,
        signal=view.signal[index],
        power=view.power[index],
        s0=view.s0[index],
    )
