"""What a DWI shows at some voxels, so that pictures of it can be compared with those of another DWI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bids_shresnet.diffusion.attenuation import compute_attenuation
from bids_shresnet.diffusion.harmonics import fitting_matrix, order_indices
from bids_shresnet.diffusion.rish import rish
from bids_shresnet.diffusion.shells import find_shell_volumes
from bids_shresnet.diffusion.tensors import TensorValues, fit_tensor
from bids_shresnet.scans import Dwi, Shell


@dataclass(frozen=True)
class DwiView:
    """Voxels of a DWI.

    Attributes
    ----------
    tensor
        FA, MD and principal direction, of the b0 volumes and the shells that are looked at.
    signal
        S/S0 of one volume.
    power
        RISH of each order of each shell, shell after shell.
    angle_degrees
        Angle between the direction that was asked for and that of the volume, degrees.
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
    """Look at some voxels of some shells; the volume is that of the middle shell that is nearest to the direction.

    Raises
    ------
    ValueError
        If the scan lacks a shell.
    """
    volumes = find_shell_volumes(dwi.bvals, shells)
    relative = compute_attenuation(dwi, mask).signal
    coefficients = [
        relative[:, indices] @ fitting_matrix(dwi.bvecs[indices], shell.sh_order).T
        for indices, shell in zip(volumes, shells, strict=True)
    ]
    nearest, off = nearest_volume(dwi, volumes[len(shells) // 2], direction)
    used = np.concatenate([np.flatnonzero(dwi.is_b0), *volumes])
    bvals = np.where(dwi.is_b0, 0, dwi.bvals)[used]
    return DwiView(
        tensor=fit_tensor(dwi.data[mask][:, used], bvals, dwi.bvecs[used]),
        signal=relative[:, nearest],
        power=rish(np.concatenate(coefficients, axis=1), order_indices(shells)),
        angle_degrees=off,
    )


def nearest_volume(
    dwi: Dwi, volumes: Int[np.ndarray, " k"], direction: Float[np.ndarray, " 3"]
) -> tuple[int, float]:
    """The volume whose axis is nearest to a direction, and the angle between both in degrees."""
    cosines = np.abs(dwi.bvecs[volumes] @ direction)
    best = int(cosines.argmax())
    return int(volumes[best]), float(np.degrees(np.arccos(min(1.0, cosines[best]))))


def middle_direction(dwi: Dwi, shells: Sequence[Shell]) -> Float[np.ndarray, " 3"]:
    """Direction of the middle volume of the middle shell."""
    volumes = find_shell_volumes(dwi.bvals, shells)[len(shells) // 2]
    return np.asarray(dwi.bvecs[volumes[len(volumes) // 2]], dtype=np.float64)


def select_voxels(view: DwiView, index: Int[np.ndarray, " w"]) -> DwiView:
    """Some of its voxels, in any order and also several times."""
    tensor = TensorValues(
        view.tensor.fa[index], view.tensor.md[index], view.tensor.direction[index]
    )
    return DwiView(tensor, view.signal[index], view.power[index], view.angle_degrees)
