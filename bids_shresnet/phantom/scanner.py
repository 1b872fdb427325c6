"""A simulated scanner: its gradient table, and the signal it receives from known tissue.

A voxel holds white matter (fibre populations, each an axially symmetric tensor, and a dispersed
rest), grey matter (a tensor of FA 0.1 along the cortex's normal), CSF and scalp. Its signal is the
T2-weighted sum of theirs, changed by the scanner's b-value calibration, gradient nonlinearity,
diffusion time, receive profile, point spread and noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from dipy.core.sphere import disperse_charges_alt
from jaxtyping import Float
from scipy import ndimage

from bids_shresnet.phantom.anatomy import PhantomTissue
from bids_shresnet.scans import B0_THRESHOLD

# Of white matter, grey matter, CSF and scalp; fat suppression leaves little of the scalp.
T2_MS = np.array([72.0, 88.0, 500.0, 50.0])  # at 3 T
PROTON_DENSITY = np.array([0.70, 0.80, 1.00, 0.30])  # of water's
DISPERSED_DIFFUSIVITY = 0.75e-3  # mm2/s, white matter of no direction
FREE_WATER_DIFFUSIVITY = 3.0e-3  # mm2/s at 37 degrees
SCALP_DIFFUSIVITY = 1.2e-3  # mm2/s, muscle
# Factors on grey matter's mean diffusivity, along and across the cortex's normal: FA 0.1.
GREY_ALONG_FACTOR = 1.117
GREY_ACROSS_FACTOR = 0.942
FWHM_PER_SIGMA = 2.3548  # full width at half maximum of a Gaussian of sigma 1
DISPERSION_ITERATIONS = 100  # of directions that repel each other


@dataclass(frozen=True)
class PhantomScanner:
    """One simulated machine with its protocol.

    Attributes
    ----------
    sidecar
        Its part of the metadata: Manufacturer, ManufacturersModelName, DeviceSerialNumber, ...
    bvalues, directions, table_seed
        Nominal b of each shell in s/mm2, directions per shell, and the seed of the machine's table.
    b0_count, b0_bvalue
        Number of volumes without weighting, and the b-value written for them.
    tilt_degrees
        Rotation of the imaging grid about x, y and z.
    te_ms, psf_mm, snr
        Echo time; full width of the point spread; the brain's median b0 signal over the sigma of
        the noise.
    b_gain, nonlinearity
        Factor on b at the isocentre, and its relative change 100 mm away from it.
    radial_gain, grey_gain
        Effects of a machine's diffusion time: factors on the diffusivity across fibres and across
        the cortex's normal, and on grey matter's in every direction.
    receive_rise
        Relative rise of the receive profile 100 mm away from the isocentre.
    distortion_mm
        Standard deviation of the residual EPI distortion along the phase axis.
    """

    sidecar: Mapping[str, str | float]
    directions: int
    table_seed: int
    b0_count: int
    te_ms: float
    psf_mm: float
    snr: float
    bvalues: tuple[float, ...] = (1000.0,)
    b0_bvalue: float = 0.0
    tilt_degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    b_gain: float = 1.0
    nonlinearity: float = 0.0
    radial_gain: float = 1.0
    grey_gain: float = 1.0
    receive_rise: float = 0.0
    distortion_mm: float = 0.0


@dataclass(frozen=True)
class GradientTable:
    """b-values in s/mm2, (n,), and unit b-vectors along the world axes, (n, 3), zero for b0."""

    bvals: Float[np.ndarray, " n"]
    bvecs: Float[np.ndarray, "n 3"]


def make_gradient_table(scanner: PhantomScanner) -> GradientTable:
    """Make the scanner's table: b0 volumes, then evenly spread directions for each shell."""
    shells = [
        _spread_directions(scanner.directions, scanner.table_seed, shell)
        for shell in range(len(scanner.bvalues))
    ]
    counts = [scanner.b0_count] + [scanner.directions] * len(shells)
    bvals = np.repeat(np.array([scanner.b0_bvalue, *scanner.bvalues]), counts)
    return GradientTable(bvals, np.concatenate([np.zeros((scanner.b0_count, 3)), *shells]))


def simulate_signal(
    tissue: PhantomTissue,
    scanner: PhantomScanner,
    table: GradientTable,
    *,
    isocentre_mm: Float[np.ndarray, "x y z 3"],
    voxel_mm: float,
) -> Float[np.ndarray, "x y z n"]:
    """Simulate the signal relative to that of pure water at echo time 0.

    Parameters
    ----------
    isocentre_mm
        Position of each voxel relative to the scanner's isocentre.
    """
    distance = np.square(isocentre_mm / 100).sum(axis=-1).astype(np.float32)
    b_factors = scanner.b_gain * (1 + scanner.nonlinearity * distance)
    tissue_weights = PROTON_DENSITY * np.exp(-scanner.te_ms / T2_MS)
    weights = tissue.fractions * tissue_weights.astype(np.float32)
    weights *= (1 + scanner.receive_rise * distance)[..., None]
    sigma = scanner.psf_mm / FWHM_PER_SIGMA / voxel_mm
    volumes = np.empty((*distance.shape, len(table.bvals)), dtype=np.float32)
    for n, (bvalue, direction) in enumerate(zip(table.bvals, table.bvecs, strict=True)):
        local_b = b_factors * np.float32(bvalue if bvalue >= B0_THRESHOLD else 0)
        attenuation = simulate_attenuation(tissue, scanner, local_b, direction)
        volume = np.einsum("...k,...k", weights, attenuation)
        volumes[..., n] = ndimage.gaussian_filter(volume, sigma)
    return volumes


def simulate_attenuation(
    tissue: PhantomTissue,
    scanner: PhantomScanner,
    b: Float[np.ndarray, "x y z"],
    direction: Float[np.ndarray, " 3"],
) -> Float[np.ndarray, "x y z 4"]:
    """Simulate S/S0 of white matter, grey matter, CSF and scalp in each voxel."""
    squared_cosines = np.square(tissue.fibres @ direction.astype(np.float32))
    parts = [
        _white_matter_attenuation(tissue, scanner, b, squared_cosines),
        _grey_matter_attenuation(tissue, scanner, b, squared_cosines[..., -1]),
        np.exp(-b * np.float32(FREE_WATER_DIFFUSIVITY)),
        np.exp(-b * np.float32(SCALP_DIFFUSIVITY)),
    ]
    return np.stack(parts, axis=-1)


def _white_matter_attenuation(
    tissue: PhantomTissue,
    scanner: PhantomScanner,
    b: Float[np.ndarray, "x y z"],
    squared_cosines: Float[np.ndarray, "x y z 4"],
) -> Float[np.ndarray, "x y z"]:
    """S/S0 of the fibre populations and of the dispersed rest."""
    axial = tissue.diffusivities[..., 0]
    radial = np.float32(scanner.radial_gain) * tissue.diffusivities[..., 1]
    diffusivities = radial[..., None] + (axial - radial)[..., None] * squared_cosines
    fibres = np.exp(-b[..., None] * diffusivities)
    dispersed_share = 1 - tissue.fibre_fractions.sum(axis=-1)
    dispersed = dispersed_share * np.exp(-b * np.float32(DISPERSED_DIFFUSIVITY))
    return np.asarray(np.einsum("...k,...k", tissue.fibre_fractions, fibres) + dispersed)


def _grey_matter_attenuation(
    tissue: PhantomTissue,
    scanner: PhantomScanner,
    b: Float[np.ndarray, "x y z"],
    squared_cosine: Float[np.ndarray, "x y z"],
) -> Float[np.ndarray, "x y z"]:
    """S/S0 of the cortex; the cosine is that with its normal."""
    along = scanner.grey_gain * GREY_ALONG_FACTOR
    across = scanner.grey_gain * scanner.radial_gain * GREY_ACROSS_FACTOR
    factor = np.float32(across) + np.float32(along - across) * squared_cosine
    return np.asarray(np.exp(-b * tissue.diffusivities[..., 2] * factor))


def add_rician_noise(
    signals: Float[np.ndarray, "x y z n"], sigma: float, rng: np.random.Generator
) -> Float[np.ndarray, "x y z n"]:
    """Add complex Gaussian noise of standard deviation sigma per channel; return the magnitude."""
    real = np.float32(sigma) * rng.standard_normal(signals.shape, dtype=np.float32)
    imaginary = np.float32(sigma) * rng.standard_normal(signals.shape, dtype=np.float32)
    return np.asarray(np.hypot(signals + real, imaginary))


@cache  # every session of a machine needs its table
def _spread_directions(count: int, seed: int, shell: int) -> Float[np.ndarray, "n 3"]:
    """Spread directions that repel each other and their opposites, each with a random sign."""
    rng = np.random.default_rng([seed, shell])
    vertices = disperse_charges_alt(rng.standard_normal((count, 3)), DISPERSION_ITERATIONS)
    signs = rng.choice([-1, 1], (count, 1))
    return np.asarray(vertices * signs / np.linalg.norm(vertices, axis=1, keepdims=True))
