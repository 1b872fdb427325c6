"""What a DWI shows at some voxels, so that its pictures compare with those of another DWI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bids_shresnet.diffusion.attenuation import compute_attenuation
from bids_shresnet.diffusion.harmonics import order_indices, shell_fitting_matrix
from bids_shresnet.diffusion.rish import rish
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
        RISH of each order of each shell, shell after shell.
    angle_degrees
        Angle between the requested direction and that of the volume.
    """

    tensor: TensorValues
    signal: Float[np.ndarray, " v"]
    power: Float[np.ndarray, "v o"]
    angle_degrees: float


def view_dwi(
    dwi: Dwi,
    mask: Bool[np.ndarray, "x y z"],
    shells: Sequence[Shell],
    direction: Float[np.ndarray, " 3"],
) -> DwiView:
    """View some voxels of some shells, and the volume of the middle shell nearest to a direction.

    Raises
    ------
    ValueError
        If the scan lacks a shell.
    """
    shell_volumes = find_shell_volumes(dwi.bvals, shells)
    signal = compute_attenuation(dwi, mask).signal
    coefficients = [
        signal[:, volumes] @ shell_fitting_matrix(dwi.bvecs[volumes], shell).T
        for volumes, shell in zip(shell_volumes, shells, strict=True)
    ]
    nearest, angle = nearest_volume(dwi, shell_volumes[len(shells) // 2], direction)
    used_volumes = np.concatenate([np.flatnonzero(dwi.is_b0), *shell_volumes])
    return DwiView(
        tensor=fit_dwi_tensor(dwi, mask, used_volumes),
        signal=signal[:, nearest],
        power=rish(np.concatenate(coefficients, axis=1), order_indices(shells)),
        angle_degrees=angle,
    )


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
    return DwiView(
        tensor=tensor,
        signal=view.signal[index],
        power=view.power[index],
        angle_degrees=view.angle_degrees,
    )
