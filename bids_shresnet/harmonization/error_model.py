"""How far the target's signal, FA and MD may be from those that are predicted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bids_shresnet.diffusion.attenuation import MIN_RELATIVE_SIGNAL
from bids_shresnet.diffusion.harmonics import basis, l_values
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tensors import fit_fa_and_md, select_tensor_volumes
from bids_shresnet.scans import Dwi, Shell, Tissue

Factors = Mapping[tuple[str, str], float]  # by tissue and quantity
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
        Variance of a coefficient of S/S0 for every order and shell; 0 where nothing was predicted.
    s0
        Mean b0 in the scan's units.
    shells
        Shells with the b-values of the harmonized scan.
    tissue
        Values of `Tissue` in white and grey matter; 0 elsewhere.
    factors
        Factors on the standard deviations by tissue and quantity, from held-out subjects; 1 where
        there is none. Between the tissues, it is the geometric mean of theirs.
    seed
        Seed of all draws.
    """

    variance: Float[np.ndarray, "x y z k"]
    s0: Float[np.ndarray, "x y z"]
    shells: Sequence[Shell]
    tissue: Int[np.ndarray, "x y z"]
    factors: Factors
    seed: int

    @property
    def signal_variance(self) -> Float[np.ndarray, "x y z s"]:
        """Variance of one value of S/S0 for every shell, which is the same in all directions.

        The squares of the 2 l + 1 basis functions of order l add up to (2 l + 1) / 4 pi.
        """
        parts: list[Float[np.ndarray, "x y z"]] = []
        for shell, groups in self._groups():
            weights = (2 * np.unique(l_values(shell.sh_order)) + 1) / (4 * np.pi)
            parts.append(self.variance[..., groups] @ weights)
        return np.stack(parts, axis=-1)

    def _groups(self) -> Iterator[tuple[Shell, slice]]:
        """Each shell and the places of its orders."""
        start = 0
        for shell in self.shells:
            stop = start + shell.sh_order // 2 + 1
            yield shell, slice(start, stop)
            start = stop

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
        """
        rng = np.random.default_rng([self.seed, ERROR_STREAM + number])
        s0 = self.s0[voxels][:, None]
        drawn = np.array(signal, dtype=np.float64)
        deviation = np.sqrt(self.variance[voxels])
        for shell, groups in self._groups():
            is_in_shell = np.isclose(dwi.bvals, shell.bvalue, rtol=BVALUE_TOLERANCE)
            degrees = l_values(shell.sh_order)
            coefficients = rng.standard_normal((len(s0), len(degrees)))
            coefficients *= deviation[:, groups][:, degrees // 2]
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
        deviation = np.sqrt(self.signal_variance.mean(axis=-1))
        return UncertaintyMaps(
            signal=(self._factor_image("signal") * deviation).astype(np.float32),
            fa=self._factor_image("FA") * unmask(fa.astype(np.float32), voxels),
            md=self._factor_image("MD") * unmask(md.astype(np.float32), voxels),
        )

    def _factor_image(self, quantity: str) -> Float[np.ndarray, "x y z"]:
        white = self.factors.get(("WM", quantity), 1.0)
        grey = self.factors.get(("GM", quantity), 1.0)
        is_tissue = [self.tissue == Tissue.WM, self.tissue == Tissue.GM]
        return np.select(is_tissue, [white, grey], np.sqrt(white * grey)).astype(np.float32)
