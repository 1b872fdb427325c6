"""How far the target's signal, FA and MD may be from those that are predicted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bids_shresnet.diffusion.attenuation import MIN_RELATIVE_SIGNAL
from bids_shresnet.diffusion.harmonics import basis, l_values
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tensors import fit_fa_and_md, select_signal
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
        gradients: tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d 3"]],
        voxels: Bool[np.ndarray, "x y z"],
        *,
        numbers: Iterable[int],
    ) -> Iterator[Float[np.ndarray, "v d"]]:
        """Draw what the target may measure in some voxels, without noise, once for each number.

        `gradients` are the b-values and b-vectors of the signal.
        """
        s0 = self.s0[voxels][:, None]
        lowest = np.minimum(signal, MIN_RELATIVE_SIGNAL * s0)
        columns = [groups.start + l_values(shell.sh_order) // 2 for shell, groups in self._groups()]
        deviations = (s0 * np.sqrt(self.variance[voxels]))[:, np.concatenate(columns)]
        matrix = self._signal_matrix(*gradients)
        for number in numbers:
            rng = np.random.default_rng([self.seed, ERROR_STREAM + number])
            normal = [rng.standard_normal((len(s0), len(part))) for part in columns]
            drawn = (np.concatenate(normal, axis=1) * deviations) @ matrix.T
            drawn += signal
            yield np.maximum(drawn, lowest, out=drawn)

    def _signal_matrix(
        self, bvals: Float[np.ndarray, " d"], bvecs: Float[np.ndarray, "d 3"]
    ) -> Float[np.ndarray, "d c"]:
        """Matrix from the stacked coefficients of all shells to the signal of volumes."""
        parts = []
        for shell in self.shells:
            is_in_shell = np.isclose(bvals, shell.bvalue, rtol=BVALUE_TOLERANCE)
            parts.append(np.zeros((len(bvals), shell.coefficient_count)))
            parts[-1][is_in_shell] = basis(bvecs[is_in_shell], shell.sh_order)
        return np.concatenate(parts, axis=1)

    def fit_maps(self, dwi: Dwi, voxels: Bool[np.ndarray, "x y z"]) -> UncertaintyMaps:
        """Fit FA and MD to several draws, and return how far they vary."""
        signal, bvals, bvecs = select_signal(dwi, voxels)
        draws = self.draw(signal, (bvals, bvecs), voxels, numbers=range(ERROR_DRAWS))
        fa, md = np.std([fit_fa_and_md(drawn, bvals, bvecs) for drawn in draws], axis=0, ddof=1)
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
