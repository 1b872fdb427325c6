"""How far the target's signal, FA and MD may be from those that are predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.attenuation import MIN_RELATIVE_SIGNAL
from bids_shresnet.diffusion.harmonics import basis
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tensors import fit_fa_and_md, select_tensor_volumes
from bids_shresnet.outputs.model.validation import UncertaintyFactors
from bids_shresnet.scans import Dwi, Shell

ERROR_DRAWS = 8  # of the error of a prediction, over which FA and MD vary
ERROR_STREAM = 1000  # seeds of the draws lie beyond those of the noise
BVALUE_TOLERANCE = 1e-3  # of rounded b-values


@dataclass(frozen=True, kw_only=True)
class UncertaintyMaps:
    """Standard deviations of S/S0, FA and MD (mm2/s) about what is predicted; 0 outside."""

    signal: Float[np.ndarray, "x y z"]
    fa: Float[np.ndarray, "x y z"]
    md: Float[np.ndarray, "x y z"]


@dataclass(frozen=True, kw_only=True)
class ErrorModel:
    """The error of a predicted signal, which is random coefficients of each shell.

    Attributes
    ----------
    variance
        Variance of one value of S/S0 for every shell; 0 where nothing was predicted.
    s0
        Mean b0 in the scan's units.
    shells
        Shells with the b-values of the harmonized scan.
    factors
        Factors on the standard deviations, from held-out subjects.
    seed
        Seed of all draws.
    """

    variance: Float[np.ndarray, "x y z s"]
    s0: Float[np.ndarray, "x y z"]
    shells: Sequence[Shell]
    factors: UncertaintyFactors
    seed: int

    def draw(
        self,
        signal: Float[np.ndarray, "v d"],
        dwi: Dwi,
        voxels: Bool[np.ndarray, "x y z"],
        *,
        number: int,
    ) -> Float[np.ndarray, "v d"]:
        """Draw what the target may measure in some voxels, without noise.

        `signal` is that of the volumes of `dwi`.

        Coefficients of equal variance give every direction the same variance, because the squares
        of n basis functions add up to n / 4 pi.
        """
        rng = np.random.default_rng([self.seed, ERROR_STREAM + number])
        s0 = self.s0[voxels][:, None]
        drawn = np.array(signal, dtype=np.float64)
        for index, shell in enumerate(self.shells):
            is_in_shell = np.isclose(dwi.bvals, shell.bvalue, rtol=BVALUE_TOLERANCE)
            count = shell.coefficient_count
            deviation = np.sqrt(self.variance[voxels][:, index, None] * 4 * np.pi / count)
            coefficients = deviation * rng.standard_normal((len(s0), count))
            matrix = basis(dwi.bvecs[is_in_shell], shell.sh_order)
            drawn[:, is_in_shell] += s0 * (coefficients @ matrix.T)
        return np.asarray(np.maximum(drawn, np.minimum(signal, MIN_RELATIVE_SIGNAL * s0)))

    def fit_maps(self, dwi: Dwi, voxels: Bool[np.ndarray, "x y z"]) -> UncertaintyMaps:
        """Fit FA and MD to several draws, and return how far they vary."""
        selected = select_tensor_volumes(dwi.bvals, dwi.bvecs)
        used = Dwi(dwi.data[..., selected], dwi.affine, dwi.bvals[selected], dwi.bvecs[selected])
        bvals = np.where(used.is_b0, 0, used.bvals)
        signal = used.data[voxels]
        fits = []
        for number in range(ERROR_DRAWS):
            drawn = self.draw(signal, used, voxels, number=number)
            fits.append(fit_fa_and_md(drawn, bvals, used.bvecs))
        fa, md = np.std(fits, axis=0, ddof=1)
        deviation = np.sqrt(self.variance.mean(axis=-1))
        return UncertaintyMaps(
            signal=(self.factors.signal * deviation).astype(np.float32),
            fa=unmask((self.factors.fa * fa).astype(np.float32), voxels),
            md=unmask((self.factors.md * md).astype(np.float32), voxels),
        )
