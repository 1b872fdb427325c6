"""Put a known change of FA and MD into a scan, through the tensors of each voxel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import gaussian_filter

from bids_shresnet.diffusion.shells import find_shells
from bids_shresnet.diffusion.spatial.anisotropy_denoising import denoise_vectors
from bids_shresnet.diffusion.tensor_fit import compute_fa
from bids_shresnet.diffusion.tensors import (
    fit_tensor_matrices,
    has_tensor_directions,
    select_signal,
    select_tensor_volumes,
)
from bids_shresnet.scans import Dwi

MAX_FA = 0.99  # of a changed tensor: FA is below 1 as long as all diffusivities are positive


@dataclass(frozen=True)
class TensorChange:
    """Factors on the anisotropy and on MD of tensors; 1 where a scan stays as it is.

    The anisotropy is the size of the anisotropic part, relative to MD. If tissue changes, its
    factor is about the same for all scanners: partial volume with isotropic tissue does not alter
    it, but it alters FA, and with it the factor on FA.
    """

    anisotropy_factor: Float[np.ndarray, "x y z"]
    md_factor: Float[np.ndarray, "x y z"]

    @property
    def is_changed(self) -> Bool[np.ndarray, "x y z"]:
        """Voxels that change."""
        return np.asarray((self.anisotropy_factor != 1) | (self.md_factor != 1))


@dataclass(frozen=True)
class MapChange:
    """Factors on FA and on MD in each voxel of a grid; 1 where they stay as they are."""

    fa_factor: Float[np.ndarray, "x y z"]
    md_factor: Float[np.ndarray, "x y z"]

    @property
    def strength(self) -> Float[np.ndarray, "x y z"]:
        """Size of the change, as a share of the largest one in the image."""
        sizes = [np.abs(np.log(factor)) for factor in (self.fa_factor, self.md_factor)]
        tiny = np.finfo(np.float64).tiny
        shares = [size / max(float(size.max()), tiny) for size in sizes]
        return np.asarray(np.max(shares, axis=0))

    def blur(self, sigma_voxels: float) -> MapChange:
        """Blur the logarithms of the factors, as the point spread of a scanner does."""
        blurred = [
            np.exp(gaussian_filter(np.log(factor), sigma_voxels))
            for factor in (self.fa_factor, self.md_factor)
        ]
        return MapChange(*blurred)

    def to_tensor_change(self, fa: Float[np.ndarray, "x y z"]) -> TensorChange:
        """Find the change of the tensors of a scan with this FA.

        With an anisotropic part of norm a, FA^2 is 3/2 a^2 / (a^2 + 3 MD^2), which is solved for a.
        FA does not rise above `MAX_FA`. Where it is 0, both factors are the same.
        """
        old = np.minimum(fa, MAX_FA)
        new = np.minimum(old * self.fa_factor, MAX_FA)
        ratio = np.divide(new, old, out=self.fa_factor.astype(np.float64), where=old > 0)
        nonlinearity = np.sqrt((1.5 - np.square(old)) / (1.5 - np.square(new)))
        return TensorChange(ratio * nonlinearity, self.md_factor)


@dataclass(frozen=True)
class ApparentTensors:
    """Tensors of the voxels of a mask, mm2/s, and the weighted volumes that they describe."""

    bvalue: float
    volumes: Int[np.ndarray, " k"]
    tensors: Float[np.ndarray, "v 3 3"]

    @property
    def fa(self) -> Float[np.ndarray, " v"]:
        """FA of the tensors."""
        return compute_fa(self.tensors)


def change_dwi(
    dwi: Dwi,
    mask: Bool[np.ndarray, "x y z"],
    change: TensorChange,
    tensors: Sequence[ApparentTensors] | None = None,
) -> Dwi:
    """Change the tensors of a scan in a mask.

    The signal S in direction g becomes S + S0 (exp(-b g'D'g) - exp(-b g'Dg)), where D is the
    voxel's tensor, D' the changed one and S0 the mean b0. All that the tensor does not describe
    (noise, crossings, S0) stays. Multiplied instead, a signal would lose a part of its noise where
    MD rises, and noise looks like anisotropy.

    Parameters
    ----------
    tensors
        D in the voxels of the mask; by default what `fit_scan_tensors` finds in a voxel's signal.

    Returns
    -------
    b0 volumes and voxels without a change are as they were. No signal is below 0.
    """
    changed = mask & change.is_changed
    if not changed.any():
        return dwi
    if tensors is None:
        return change_dwi(dwi, changed, change, fit_scan_tensors(dwi, changed))
    signal = dwi.data[changed]
    s0 = signal[:, dwi.is_b0].mean(axis=1, keepdims=True)
    for item in tensors:
        old = item.tensors[changed[mask]]
        new = change_tensors(old, change.anisotropy_factor[changed], change.md_factor[changed])
        difference = s0 * (_attenuation(dwi, item, new) - _attenuation(dwi, item, old))
        signal[:, item.volumes] = np.maximum(signal[:, item.volumes] + difference, 0)
    data = dwi.data.copy()
    data[changed] = signal
    return replace(dwi, data=data)


def synthesize_tensors(
    dwi: Dwi, mask: Bool[np.ndarray, "x y z"], tensors: Sequence[ApparentTensors]
) -> Dwi:
    """Return a scan with the same b0 volumes, and the signal of tensors in the voxels of a mask."""
    data = dwi.data.copy()
    s0 = data[mask][:, dwi.is_b0].mean(axis=1, keepdims=True)
    signal = data[mask]
    for item in tensors:
        signal[:, item.volumes] = s0 * _attenuation(dwi, item, item.tensors)
    data[mask] = signal
    return replace(dwi, data=data)


def _attenuation(
    dwi: Dwi, item: ApparentTensors, tensors: Float[np.ndarray, "v 3 3"]
) -> Float[np.ndarray, "v k"]:
    """S/S0 of tensors in the volumes that they describe."""
    bvecs = dwi.bvecs[item.volumes]
    diffusivities = np.einsum("ni,vij,nj->vn", bvecs, tensors, bvecs)
    return np.asarray(np.exp(-dwi.bvals[item.volumes] * diffusivities))


def fit_scan_tensors(dwi: Dwi, mask: Bool[np.ndarray, "x y z"]) -> tuple[ApparentTensors, ...]:
    """Fit tensors to the volumes that FA and MD rest on, and to each other shell alone.

    Diffusivities look smaller at a higher b (kurtosis). Changed by those of a low b, a high shell
    would change by more than its share. A shell that is too small for a tensor has that of the
    volumes that FA and MD rest on.
    """
    fitted = select_tensor_volumes(dwi.bvals, dwi.bvecs)
    tensors = fit_tensor_matrices(*select_signal(dwi, mask))
    without_weighting = np.flatnonzero(dwi.is_b0)
    result: list[ApparentTensors] = []
    for shell in find_shells(dwi.bvals):
        own = tensors
        is_other = not np.isin(shell.volumes, fitted).any()
        if is_other and has_tensor_directions(shell, dwi.bvecs):
            volumes = np.concatenate([without_weighting, shell.volumes])
            own = fit_tensor_matrices(*select_signal(dwi, mask, volumes))
        result.append(ApparentTensors(shell.bvalue, shell.volumes, own))
    return tuple(result)


def denoise_tensors(
    tensors: Float[np.ndarray, "v 3 3"],
    mask: Bool[np.ndarray, "x y z"],
    true_share: Float[np.ndarray, "x y z"],
) -> Float[np.ndarray, "v 3 3"]:
    """Remove most of the noise from the anisotropic part of tensors (`denoise_vectors`)."""
    isotropic = _isotropic_part(tensors)
    own = (tensors - isotropic).reshape(-1, 9)
    return np.asarray(isotropic + denoise_vectors(own, mask, true_share).reshape(-1, 3, 3))


def _isotropic_part(tensors: Float[np.ndarray, "v 3 3"]) -> Float[np.ndarray, "v 3 3"]:
    return np.asarray(np.trace(tensors, axis1=1, axis2=2)[:, None, None] / 3 * np.eye(3))


def change_tensors(
    tensors: Float[np.ndarray, "v 3 3"],
    anisotropy_factor: Float[np.ndarray, " v"],
    md_factor: Float[np.ndarray, " v"],
) -> Float[np.ndarray, "v 3 3"]:
    """Multiply the anisotropy and MD of tensors, and keep their axes."""
    isotropic = _isotropic_part(tensors)
    changed = isotropic + anisotropy_factor[:, None, None] * (tensors - isotropic)
    return np.asarray(changed * md_factor[:, None, None])
