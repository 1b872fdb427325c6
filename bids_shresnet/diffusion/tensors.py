"""Fractional anisotropy and mean diffusivity."""

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


def tensor_maps(dwi: Dwi, mask: Bool[np.ndarray, "x y z"]) -> TensorMaps:
    """Fit DIPY's diffusion tensor by weighted least squares inside the mask."""
    table = gradient_table(np.where(dwi.b0s, 0, dwi.bvals), bvecs=dwi.bvecs, b0_threshold=B0_THRESHOLD)
    signal = np.nan_to_num(dwi.data[mask], nan=0, posinf=0, neginf=0)  # one voxel that is no number would stop the fit
    fit = TensorModel(table, fit_method="WLS").fit(signal)
    maps = []
    for values in (fit.fa, fit.md):
        image = np.zeros(mask.shape, dtype=np.float32)
        image[mask] = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        maps.append(image)
    return TensorMaps(*maps)
