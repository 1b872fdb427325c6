"""Put a known change of FA and MD into a scan, through the tensor of each voxel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

from bids_shresnet.diffusion.tensors import fit_tensor_matrices, select_tensor_volumes
from bids_shresnet.scans import Dwi

MAX_FA = 0.99  # of a changed tensor: FA is below 1 as long as all diffusivities are positive


@dataclass(frozen=True)
class TensorChange:
    """Factors on FA and on MD in each voxel of a grid; 1 where a scan stays as it is."""

    fa_factor: Float[np.ndarray, "x y z"]
    md_factor: Float[np.ndarray, "x y z"]

    @property
    def is_changed(self) -> Bool[np.ndarray, "x y z"]:
        """Voxels that change."""
        return np.asarray((self.fa_factor != 1) | (self.md_factor != 1))

    @property
    def strength(self) -> Float[np.ndarray, "x y z"]:
        """Size of the change, as a share of the largest one in the image."""
        sizes = [np.abs(np.log(factor)) for factor in (self.fa_factor, self.md_factor)]
        tiny = np.finfo(np.float64).tiny
        shares = [size / max(float(size.max()), tiny) for size in sizes]
        return np.asarray(np.max(shares, axis=0))

    def blur(self, sigma_voxels: float) -> TensorChange:
        """Blur the logarithms of the factors, as the point spread of a scanner does."""
        blurred = [
            np.exp(gaussian_filter(np.log(factor), sigma_voxels))
            for factor in (self.fa_factor, self.md_factor)
        ]
        return TensorChange(*blurred)


def change_dwi(dwi: Dwi, mask: Bool[np.ndarray, "x y z"], change: TensorChange) -> Dwi:
    """Change FA and MD of a scan in a mask.

    The signal S in direction g becomes S exp(-b g'(D' - D)g), where D is the voxel's own tensor,
    from the volumes that FA and MD rest on, and D' the changed one. All that the tensor does not
    describe (noise, crossings, S0) stays.

    Returns
    -------
    b0 volumes and voxels without a change are as they were.
    """
    changed = mask & change.is_changed
    if not changed.any():
        return dwi
    bvals = np.where(dwi.is_b0, 0, dwi.bvals)
    signal = dwi.data[changed]
    fitted = select_tensor_volumes(dwi.bvals, dwi.bvecs)
    tensors = fit_tensor_matrices(signal[:, fitted], bvals[fitted], dwi.bvecs[fitted])
    new_tensors = change_tensors(tensors, change.fa_factor[changed], change.md_factor[changed])
    diffusivities = np.einsum("ni,vij,nj->vn", dwi.bvecs, new_tensors - tensors, dwi.bvecs)
    data = dwi.data.copy()
    data[changed] = signal * np.exp(-bvals * diffusivities)
    return replace(dwi, data=data)


def change_tensors(
    tensors: Float[np.ndarray, "v 3 3"],
    fa_factor: Float[np.ndarray, " v"],
    md_factor: Float[np.ndarray, " v"],
) -> Float[np.ndarray, "v 3 3"]:
    """Multiply FA and MD of tensors and keep their axes.

    MD is the isotropic part. With a deviatoric part of norm a, FA^2 is 3/2 a^2 / (a^2 + 3 MD^2),
    which is solved for a. FA does not rise above `MAX_FA`, and that of a sphere stays 0.
    """
    isotropic = np.trace(tensors, axis1=1, axis2=2)[:, None, None] / 3 * np.eye(3)
    deviatoric = tensors - isotropic
    squared_norm = np.square(deviatoric).sum(axis=(1, 2))
    squared_mean = np.square(isotropic).sum(axis=(1, 2))
    tiny = np.finfo(np.float64).tiny
    squared_fa = 1.5 * squared_norm / np.maximum(squared_norm + squared_mean, tiny)
    new_squared_fa = np.minimum(squared_fa * np.square(fa_factor), MAX_FA**2)
    new_squared_mean = squared_mean * np.square(md_factor)
    new_squared_norm = new_squared_mean * new_squared_fa / (1.5 - new_squared_fa)
    scale = np.sqrt(new_squared_norm / np.maximum(squared_norm, tiny))
    return np.asarray(isotropic * md_factor[:, None, None] + deviatoric * scale[:, None, None])
