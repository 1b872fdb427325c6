"""Fractional anisotropy, mean diffusivity and principal direction of the diffusion tensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from dipy.core.gradients import gradient_table
from dipy.reconst.dti import TensorFit, TensorModel
from jaxtyping import Bool, Float, Int

from bids_shresnet.diffusion.masking import unmask
from bids_shresnet.scans import B0_THRESHOLD, Dwi


@dataclass(frozen=True)
class TensorMaps:
    """FA (0 to 1) and MD (mm2/s), zero outside the mask, (x, y, z)."""

    fa: Float[np.ndarray, "x y z"]
    md: Float[np.ndarray, "x y z"]


@dataclass(frozen=True)
class TensorValues:
    """FA (0 to 1), MD (mm2/s) and the unit principal direction (world axes) of some voxels."""

    fa: Float[np.ndarray, " v"]
    md: Float[np.ndarray, " v"]
    direction: Float[np.ndarray, "v 3"]


def fit_tensor_maps(dwi: Dwi, mask: Bool[np.ndarray, "x y z"]) -> TensorMaps:
    """Fit DIPY's diffusion tensor by weighted least squares inside the mask."""
    tensor = fit_dwi_tensor(dwi, mask)
    return TensorMaps(fa=unmask(tensor.fa, mask), md=unmask(tensor.md, mask))


def fit_dwi_tensor(
    dwi: Dwi, mask: Bool[np.ndarray, "x y z"], volumes: Int[np.ndarray, " k"] | None = None
) -> TensorValues:
    """Fit the voxels of a mask, to some volumes of a DWI or to all."""
    bvals = np.where(dwi.is_b0, 0, dwi.bvals)
    signal = dwi.data[mask]
    if volumes is None:
        return fit_tensor(signal, bvals, dwi.bvecs)
    return fit_tensor(signal[:, volumes], bvals[volumes], dwi.bvecs[volumes])


def fit_relative_tensor(
    signal: Float[np.ndarray, "v d"],
    bvals: Float[np.ndarray, " d"],
    bvecs: Float[np.ndarray, "d 3"],
) -> TensorValues:
    """Fit S/S0 of weighted volumes, clipped to [0, 1], with an S0 of 1."""
    with_s0 = np.concatenate([np.ones((len(signal), 1)), np.clip(signal, 0, 1)], axis=1)
    all_bvals = np.concatenate([[0.0], bvals])
    all_bvecs = np.concatenate([np.zeros((1, 3)), bvecs])
    return fit_tensor(with_s0, all_bvals, all_bvecs)


def fit_tensor(
    signal: Float[np.ndarray, "v n"],
    bvals: Float[np.ndarray, " n"],
    bvecs: Float[np.ndarray, "n 3"],
) -> TensorValues:
    """Fit the signal of each voxel; values that are not finite become 0 before and after."""
    fit = _fit_weighted_least_squares(signal, bvals, bvecs)
    return TensorValues(
        fa=_replace_not_finite(fit.fa).astype(np.float32),
        md=_replace_not_finite(fit.md).astype(np.float32),
        direction=np.nan_to_num(fit.evecs[..., 0]).astype(np.float32),
    )


def fit_tensor_matrices(
    signal: Float[np.ndarray, "v n"],
    bvals: Float[np.ndarray, " n"],
    bvecs: Float[np.ndarray, "n 3"],
) -> Float[np.ndarray, "v 3 3"]:
    """Fit as `fit_tensor` and return the tensors themselves, mm2/s along the world axes."""
    fit = _fit_weighted_least_squares(signal, bvals, bvecs)
    return _replace_not_finite(fit.quadratic_form)


def _fit_weighted_least_squares(
    signal: Float[np.ndarray, "v n"],
    bvals: Float[np.ndarray, " n"],
    bvecs: Float[np.ndarray, "n 3"],
) -> TensorFit:
    table = gradient_table(bvals, bvecs=bvecs, b0_threshold=B0_THRESHOLD)
    fit: TensorFit = TensorModel(table, fit_method="WLS").fit(_replace_not_finite(signal))
    return fit


def _replace_not_finite(values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    # a single value that is not finite would stop the fit
    return np.asarray(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0))
