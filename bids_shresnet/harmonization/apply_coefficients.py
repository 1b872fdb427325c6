"""Predicted coefficients -> the scan that is delivered, and validated, for every method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.attenuation import MIN_RELATIVE_SIGNAL
from bids_shresnet.diffusion.measurement_noise import MeasurementNoise, remove_rician_mean
from bids_shresnet.diffusion.representation import Representation, append_shells, synthesize_dwi
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.spatial.supported_voxels import find_supported_voxels
from bids_shresnet.diffusion.tensors import select_tensor_volumes
from bids_shresnet.harmonization.error_model import ErrorModel, Factors
from bids_shresnet.harmonization.harmonized_scan import NOISE_DRAWS, HarmonizedScan, NoiseModel
from bids_shresnet.inputs.load_scan import LoadedScan
from bids_shresnet.inputs.tissue import classify_scan
from bids_shresnet.io.gradients.gradient_tables import round_gradients
from bids_shresnet.io.storage import hash_record
from bids_shresnet.methods.registry import METHOD_SPECS
from bids_shresnet.runtime import spool
from bids_shresnet.scans import Dwi, Shell, ShImage
from bids_shresnet.settings import Method, NoiseChoice

SEED_DIGITS = 8  # of a hexadecimal digest
Tables = Sequence[Float[np.ndarray, "_ 3"]]


@dataclass(frozen=True, kw_only=True)
class MissingShells:
    """Predicted coefficients of shells that only the target has, and their directions."""

    image: ShImage
    directions: Tables


@dataclass(frozen=True, kw_only=True)
class Application:
    """How predicted coefficients become a scan.

    Attributes
    ----------
    method
        Method that predicted them.
    bvalues
        b-value of each shell on the target, s/mm2.
    directions
        New directions of each shell (world axes); None for the scan's own.
    noise
        Noise of the target's measurements; None if it is not known.
    noise_choice
        Whether a draw of it is put into the DWI.
    coefficient_variance
        Variance of a coefficient of every order and shell about the prediction; None if it is not
        known.
    factors
        Factors on the standard deviations that come from it, by tissue and quantity.
    missing
        Shells to append.
    seed
        Seed of the draws; None for the scan's own (`noise_seed`).
    """

    method: Method
    bvalues: Sequence[float]
    directions: Tables | None = None
    noise: MeasurementNoise | None = None
    noise_choice: NoiseChoice = "none"
    coefficient_variance: Float[np.ndarray, "x y z k"] | None = None
    factors: Factors = field(default_factory=dict)
    missing: MissingShells | None = None
    seed: int | None = None


def apply_coefficients(
    scan: LoadedScan, representation: Representation, predicted: ShImage, application: Application
) -> HarmonizedScan:
    """Turn predicted coefficients into what is delivered.

    Parameters
    ----------
    scan, representation
        The scan and its representation.
    predicted
        Coefficients of the same shells. Voxels outside its mask stay as measured, and so do those
        without signal in or around them.

    Returns
    -------
    Without the novelty and the roughness of the scan.
    """
    supported = predicted.mask & find_supported_voxels(representation.image)
    predicted = replace(predicted, mask=supported)
    dwi = synthesize_dwi(
        scan.dwi, representation, predicted, application.bvalues, application.directions
    )
    measured_volume_count = len(dwi.bvals)
    noise_model = _make_noise_model(scan, predicted.mask, dwi, application)
    if application.missing is not None:
        missing = replace(application.missing.image, mask=predicted.mask)
        dwi = append_shells(dwi, scan.dwi, missing, application.missing.directions)
    if noise_model is not None:
        _remove_noise_floor(dwi, scan, predicted.mask, noise_model.noise)
    signal = round_gradients(dwi)
    dwi = signal
    if noise_model is not None and application.noise_choice == "target":
        dwi = _add_noise(signal, predicted.mask, noise_model)
    return HarmonizedScan(
        dwi=dwi,
        signal=signal,
        mask=scan.mask,
        method=application.method,
        measured_volume_count=measured_volume_count,
        noise_model=noise_model,
        error_model=_make_error_model(scan, representation, predicted, application),
        is_denoised=METHOD_SPECS[application.method].is_denoising,
        used_volume_count=sum(len(volumes) for volumes in representation.volumes),
        clipped_fraction=representation.clipped_share,
        novelty=np.zeros(scan.mask.shape, np.float32),
        roughness_ratio=float("nan"),
    )


def _make_error_model(
    scan: LoadedScan, representation: Representation, predicted: ShImage, application: Application
) -> ErrorModel | None:
    """Error of the predicted signal; None if it is not known."""
    if application.coefficient_variance is None:
        return None
    shells = [
        Shell(bvalue, shell.sh_order)
        for bvalue, shell in zip(application.bvalues, predicted.shells, strict=True)
    ]
    return ErrorModel(
        variance=np.where(predicted.mask[..., None], application.coefficient_variance, 0),
        s0=scan.s0,
        shells=shells,
        tissue=classify_scan(scan, representation),
        factors=application.factors,
        seed=noise_seed(scan) if application.seed is None else application.seed,
    )


def noise_seed(scan: LoadedScan) -> int:
    """Seed of the noise of a scan: the same for a file and its arrays, another for another scan.

    It depends on the grid, the b-values and the sum of S0, and not on the model, so that methods
    are compared with the same noise.
    """
    total = f"{scan.s0.sum(dtype=np.float64):.6g}"
    digest = hash_record([list(scan.dwi.shape), scan.dwi.bvals.tolist(), total])
    return int(digest[:SEED_DIGITS], 16)


def _make_noise_model(
    scan: LoadedScan, harmonized: Bool[np.ndarray, "x y z"], dwi: Dwi, application: Application
) -> NoiseModel | None:
    """Noise of the target for a synthesized DWI; None if the signal is not to have any."""
    noise = application.noise
    if noise is None or not METHOD_SPECS[application.method].is_denoising:
        return None
    deviation = unmask(_absolute_deviation(scan, noise), scan.mask)
    own_count = int((~dwi.is_b0)[select_tensor_volumes(dwi.bvals, dwi.bvecs)].sum())
    seed = noise_seed(scan) if application.seed is None else application.seed
    scale = np.sqrt(own_count / noise.direction_count)
    relative = unmask(noise.relative_deviation(scan.s0, scan.mask), scan.mask)
    return NoiseModel(
        noise=noise,
        deviation=np.where(harmonized, scale * deviation, 0),
        s0_deviation=np.where(harmonized, relative / np.sqrt(noise.b0_count), 0),
        seed=seed,
    )


def _absolute_deviation(scan: LoadedScan, noise: MeasurementNoise) -> Float[np.ndarray, " v"]:
    """Deviation of one value of the target in the scan's units, at the voxels of the brain."""
    s0 = np.maximum(scan.s0[scan.mask], 0)
    return np.asarray(noise.relative_deviation(scan.s0, scan.mask) * s0)


def _remove_noise_floor(
    dwi: Dwi, scan: LoadedScan, harmonized: Bool[np.ndarray, "x y z"], noise: MeasurementNoise
) -> None:
    """Turn predicted means of magnitudes into signals, in place and volume by volume."""
    deviation = _absolute_deviation(scan, noise)[harmonized[scan.mask]]
    floor = MIN_RELATIVE_SIGNAL * np.maximum(scan.s0[harmonized], 0)
    for volume in np.flatnonzero(~dwi.is_b0):
        values = dwi.data[..., volume]
        corrected = remove_rician_mean(values[harmonized][:, None], deviation)[:, 0]
        values[harmonized] = np.maximum(corrected, floor)


def _add_noise(dwi: Dwi, mask: Bool[np.ndarray, "x y z"], noise_model: NoiseModel) -> Dwi:
    """Copy a DWI with one draw of the target's noise in its weighted volumes."""
    data = spool.allocate_array(dwi.data.shape)
    data[:] = dwi.data
    values = data[mask]
    values[:, ~dwi.is_b0] = noise_model.draw(values[:, ~dwi.is_b0], mask, number=NOISE_DRAWS)
    data[mask] = values
    return replace(dwi, data=data)
