"""A harmonized scan in memory: its signal, and FA and MD as they are delivered and validated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.measurement_noise import MeasurementNoise, draw_measurement
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tensors import (
    TensorMaps,
    fit_fa_and_md,
    fit_tensor_maps,
    select_signal,
    select_tensor_volumes,
)
from bids_shresnet.harmonization.error_model import ErrorModel, UncertaintyMaps
from bids_shresnet.scans import Dwi
from bids_shresnet.settings import Method

FaAndMd = tuple[Float[np.ndarray, " v"], Float[np.ndarray, " v"]]
NOISE_DRAWS = 4  # of the target's noise, over which FA and MD are averaged


@dataclass(frozen=True)
class NoiseModel:
    """How the target's noise gets into a scan.

    Attributes
    ----------
    noise
        Noise of the target's measurements.
    deviation
        Standard deviation of the noise of one drawn value in the scan's units; 0 where nothing was
        predicted. It is the target's times sqrt(directions of the scan / directions of the
        target), so that a tensor of the scan is as uncertain as one of the target.
    s0_deviation
        Standard deviation of the noise of the target's mean b0, as a share of it.
    seed
        Seed of all draws.
    """

    noise: MeasurementNoise
    deviation: Float[np.ndarray, "x y z"]
    s0_deviation: Float[np.ndarray, "x y z"]
    seed: int

    def draw(
        self, signal: Float[np.ndarray, "v d"], voxels: Bool[np.ndarray, "x y z"], *, number: int
    ) -> Float[np.ndarray, "v d"]:
        """Draw one measurement of some voxels; each number gives another one."""
        rng = np.random.default_rng([self.seed, number])
        return draw_measurement(signal, self.deviation[voxels], rng)


@dataclass(frozen=True, kw_only=True)
class HarmonizedScan:
    """A harmonized scan in memory, in the convention of `bids_shresnet.scans`.

    Attributes
    ----------
    dwi
        Signal of the target scanner on the scan's own grid; predicted shells come last.
    signal
        The same without noise; `dwi` itself unless noise was drawn into it.
    mask
        Voxels of the brain; the signal outside is as measured.
    method
        Way in which the networks were applied.
    measured_volume_count
        Number of volumes, from the first, that the scan measured on its own scanner; the
        volumes after them are predicted shells.
    noise_model
        The target's noise; None for methods that keep the scan's own, or if it is not known.
    is_denoised
        True if the signal has no noise of the scan.
    used_volume_count
        Number of volumes of the scan that the networks used.
    clipped_fraction
        Share of the scan's S/S0 outside [0, 1], which was clipped.
    error_model
        Error of the predicted signal; None if it is not known.
    novelty
        Distance from the training data: above 1 the tissue is unlike it, 0 was not or cannot be
        judged.
    roughness_ratio
        Roughness relative to the training data; NaN if it is not known.
    """

    dwi: Dwi
    signal: Dwi
    mask: Bool[np.ndarray, "x y z"]
    method: Method
    measured_volume_count: int
    noise_model: NoiseModel | None
    error_model: ErrorModel | None
    is_denoised: bool
    used_volume_count: int
    clipped_fraction: float
    novelty: Float[np.ndarray, "x y z"]
    roughness_ratio: float

    @property
    def novel_fraction(self) -> float:
        """Share of the voxels that can be judged whose tissue is unlike the training data."""
        judged = self.novelty > 0
        return float((self.novelty[judged] > 1).mean()) if judged.any() else 0.0

    @cached_property  # fits every voxel several times, and only if somebody asks for it
    def maps(self) -> TensorMaps:
        """FA and MD that compare with the target scanner's own maps.

        The target's maps have its noise, which raises FA. They are therefore means over draws of
        that noise; for methods that keep the scan's noise they are of the signal as it is.
        """
        if self.noise_model is None:
            return self.fit_denoised_maps(self.mask)
        return _average_fits(self._noisy_fits, self.mask)

    @cached_property
    def denoised_maps(self) -> TensorMaps | None:
        """FA and MD of the signal without noise; None for methods that keep noise."""
        return self.fit_denoised_maps(self.mask) if self.is_denoised else None

    @cached_property
    def uncertainty(self) -> UncertaintyMaps | None:
        """How far the target's signal, FA and MD may be from those that are predicted.

        Without noise of measurements; None if it is not known.
        """
        if self.error_model is None:
            return None
        return self.error_model.fit_maps(self.measured_signal, self.mask)

    @cached_property
    def _noisy_fits(self) -> list[FaAndMd]:
        """FA and MD of all draws of the noise, which means and deviations share."""
        assert self.noise_model is not None, f"{self.method} keeps the noise of the scan"
        return _fit_draws(self.measured_signal, self.mask, self.noise_model)

    def fit_noise_deviations(self) -> TensorMaps:
        """Standard deviations of FA and MD by the target's noise alone, that of its b0 included.

        The draws have no noise of b0, which the maps that are delivered would get from it. Its part
        follows from a fit whose b0 is one standard deviation higher.
        """
        fa, md = np.sqrt(np.var(self._noisy_fits, axis=0, ddof=1) + self._fit_s0_variances())
        return TensorMaps(fa=unmask(fa, self.mask), md=unmask(md, self.mask))

    def _fit_s0_variances(self) -> Float[np.ndarray, "2 v"]:
        """Variances of FA and MD by the noise of the target's b0."""
        assert self.noise_model is not None, f"{self.method} keeps the noise of the scan"
        signal, bvals, bvecs = select_signal(self.measured_signal, self.mask)
        before = fit_fa_and_md(signal, bvals, bvecs)
        raised = 1 + self.noise_model.s0_deviation[self.mask]
        after = fit_fa_and_md(np.where(bvals == 0, raised[:, None], 1) * signal, bvals, bvecs)
        return np.asarray(np.square(np.subtract(after, before)))

    def fit_maps(self, voxels: Bool[np.ndarray, "x y z"]) -> TensorMaps:
        """Fit `maps` in some voxels only; the draws differ from those of all voxels."""
        if self.noise_model is None:
            return self.fit_denoised_maps(voxels)
        fits = _fit_draws(self.measured_signal, voxels, self.noise_model)
        return _average_fits(fits, voxels)

    def fit_denoised_maps(self, voxels: Bool[np.ndarray, "x y z"]) -> TensorMaps:
        """Fit the signal as it is in some voxels only."""
        return fit_tensor_maps(self.measured_signal, voxels)

    @property
    def measured_signal(self) -> Dwi:
        """The signal without predicted shells, because the target's maps have none."""
        volumes = slice(self.measured_volume_count)
        signal = self.signal
        return Dwi(
            signal.data[..., volumes], signal.affine, signal.bvals[volumes], signal.bvecs[volumes]
        )


def _average_fits(fits: list[FaAndMd], voxels: Bool[np.ndarray, "x y z"]) -> TensorMaps:
    """Average FA and MD over fits of some voxels."""
    fa, md = np.mean(fits, axis=0)
    return TensorMaps(fa=unmask(fa, voxels), md=unmask(md, voxels))


def _fit_draws(
    dwi: Dwi, voxels: Bool[np.ndarray, "x y z"], noise_model: NoiseModel
) -> list[FaAndMd]:
    """Fit FA and MD of several draws of the target's noise."""
    selected = select_tensor_volumes(dwi.bvals, dwi.bvecs)
    is_weighted = ~dwi.is_b0[selected]
    bvals = np.where(is_weighted, dwi.bvals[selected], 0)
    signal = dwi.data[voxels][:, selected]
    weighted = signal[:, is_weighted]
    fits = []
    for number in range(NOISE_DRAWS):
        signal[:, is_weighted] = noise_model.draw(weighted, voxels, number=number)
        fits.append(fit_fa_and_md(signal, bvals, dwi.bvecs[selected]))
    return fits
