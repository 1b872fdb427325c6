"""What a DWI shows at some voxels, so that pictures of it can be compared with those of another DWI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bids_shresnet.diffusion.attenuation import attenuation
from bids_shresnet.diffusion.harmonics import fit_matrix, stacked_orders
from bids_shresnet.diffusion.rish import rish
from bids_shresnet.diffusion.shells import volumes_of
from bids_shresnet.diffusion.tensors import TensorValues, tensor_values
from bids_shresnet.scans import Dwi, Shell


@dataclass(frozen=True)
class View:
    """Voxels of a DWI.

    Attributes
    ----------
    tensor
        FA, MD and principal direction, of the b0 volumes and the shells that are looked at.
    signal
        S/S0 of one volume.
    power
        RISH of each order of each shell, shell after shell.
    off
        Angle between the direction that was asked for and that of the volume, degrees.
    """

    tensor: TensorValues
    signal: Float[np.ndarray, " v"]
    power: Float[np.ndarray, "v o"]
    off: float


def look_at(
    dwi: Dwi, where: Bool[np.ndarray, "x y z"], shells: Sequence[Shell], direction: Float[np.ndarray, " 3"]
) -> View:
    """Look at some voxels of some shells; the volume is that of the middle shell that is nearest to the direction.

    Raises
    ------
    ValueError
        If the scan lacks a shell.
    """
    volumes = volumes_of(dwi.bvals, shells)
    relative = attenuation(dwi, where).signal
    coefficients = [
        relative[:, indices] @ fit_matrix(dwi.bvecs[indices], shell.sh_order).T
        for indices, shell in zip(volumes, shells, strict=True)
    ]
    nearest, off = nearest_volume(dwi, volumes[len(shells) // 2], direction)
    used = np.concatenate([np.flatnonzero(dwi.b0s), *volumes])
    bvals = np.where(dwi.b0s, 0, dwi.bvals)[used]
    return View(
        tensor=tensor_values(dwi.data[where][:, used], bvals, dwi.bvecs[used]),
        signal=relative[:, nearest],
        power=rish(np.concatenate(coefficients, axis=1), stacked_orders(shells)),
        off=off,
    )


def nearest_volume(dwi: Dwi, volumes: Int[np.ndarray, " k"], direction: Float[np.ndarray, " 3"]) -> tuple[int, float]:
    """The volume whose axis is nearest to a direction, and the angle between both in degrees."""
    cosines = np.abs(dwi.bvecs[volumes] @ direction)
    best = int(cosines.argmax())
    return int(volumes[best]), float(np.degrees(np.arccos(min(1.0, cosines[best]))))


def middle_direction(dwi: Dwi, shells: Sequence[Shell]) -> Float[np.ndarray, " 3"]:
    """Direction of the middle volume of the middle shell."""
    volumes = volumes_of(dwi.bvals, shells)[len(shells) // 2]
    return np.asarray(dwi.bvecs[volumes[len(volumes) // 2]], dtype=np.float64)


def take(view: View, index: Int[np.ndarray, " w"]) -> View:
    """Some of its voxels, in any order and also several times."""
    tensor = TensorValues(view.tensor.fa[index], view.tensor.md[index], view.tensor.direction[index])
    return View(tensor, view.signal[index], view.power[index], view.off)
