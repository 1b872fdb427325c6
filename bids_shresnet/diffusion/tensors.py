"""Fractional anisotropy, mean diffusivity and principal direction of the diffusion tensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from dipy.core.gradients import gradient_table
from dipy.reconst.dti import TensorModel
from jaxtyping import Bool, Float

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
    values = fit_tensor(dwi.data[mask], np.where(dwi.is_b0, 0, dwi.bvals), dwi.bvecs)
    maps = []
    for part in (values.fa, values.md):
        image = np.zeros(mask.shape, dtype=np.float32)
        image[mask] = part
        maps.append(image)
    return TensorMaps(*maps)


def fit_relative_tensor(
    signal: Float[np.ndarray, "v d"],
    bvals: Float[np.ndarray, " d"],
    bvecs: Float[np.ndarray, "d 3"],
) -> TensorValues:
    """The same from S/S0 alone: S0 is 1, and a signal that noise or a model took out of [0, 1] is taken back."""
    whole = np.concatenate([np.ones((len(signal), 1)), np.clip(signal, 0, 1)], axis=1)
    return fit_tensor(
        whole, np.concatenate([[0.0], bvals]), np.concatenate([np.zeros((1, 3)), bvecs])
    )


def fit_tensor(
    signal: Float[np.ndarray, "v n"],
    bvals: Float[np.ndarray, " n"],
    bvecs: Float[np.ndarray, "n 3"],
) -> TensorValues:
    """Fit every row; what is no number counts as no signal, and what comes out as none is 0."""
    table = gradient_table(bvals, bvecs=bvecs, b0_threshold=B0_THRESHOLD)
    usable = np.nan_to_num(
        signal, nan=0, posinf=0, neginf=0
    )  # one voxel that is no number would stop the fit
    fit = TensorModel(table, fit_method="WLS").fit(usable)
    fa, md = (
        np.nan_to_num(part, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
        for part in (fit.fa, fit.md)
    )
    return TensorValues(fa, md, np.nan_to_num(fit.evecs[..., 0]).astype(np.float32))
