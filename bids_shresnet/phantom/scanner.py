"""A simulated scanner: the gradient table it plays and the signal it receives from known tissue.

A voxel holds white matter (fibre populations, each an axially symmetric tensor, and a dispersed rest), grey matter
(a tensor of FA 0.1 along the cortex's normal), CSF and scalp. Its signal is the T2-weighted sum of theirs, seen through
the scanner's b-value calibration, gradient nonlinearity, diffusion time, receive profile, point spread and noise.
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

T2_MS = np.array([72.0, 88.0, 500.0, 50.0])  # ms at 3 T: white matter, grey matter, CSF, scalp
PROTON_DENSITY = np.array(
    [0.70, 0.80, 1.00, 0.30]
)  # of water, same order; fat suppression leaves little of the scalp
DISPERSED_DIFFUSIVITY, FREE_WATER_DIFFUSIVITY, SCALP_DIFFUSIVITY = (
    0.75e-3,
    3.0e-3,
    1.2e-3,
)  # mm2/s: white matter of no direction, water at 37 degrees, muscle
GREY_ALONG_FACTOR, GREY_ACROSS_FACTOR = (
    1.117,
    0.942,
)  # of grey matter's mean, along and across the cortex's normal: FA 0.1
FWHM_PER_SIGMA = 2.3548  # full width at half maximum of a Gaussian of sigma 1


@dataclass(frozen=True)
class PhantomScanner:
    """One simulated machine with its protocol.

    Attributes
    ----------
    sidecar
        Its part of the metadata: Manufacturer, ManufacturersModelName, DeviceSerialNumber and the like.
    bvalues, directions, table_seed
        Nominal b of each shell in s/mm2, directions a shell, and what makes this machine's table its own.
    b0s, b0_bvalue
        Number of volumes without weighting, and the b-value written for them.
    tilt_degrees
        Rotation of the imaging grid about x, y and z.
    te_ms, psf_mm, snr
        Echo time; full width of the point spread; the brain's median b0 signal over the noise's sigma.
    b_gain, nonlinearity
        Factor on b at the isocentre, and its relative change 100 mm away from it.
    radial_gain, grey_gain
        What a machine's diffusion time does: factors on the diffusivity across fibres and across the cortex's
        normal, and on grey matter's in every direction.
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
    """The table the scanner plays: b0 volumes first, then each shell's directions, evenly spread over the sphere."""
    shells = [
        _spread_directions(scanner.directions, scanner.table_seed, shell)
        for shell in range(len(scanner.bvalues))
    ]
    counts = [scanner.b0_count, *(scanner.directions for _ in shells)]
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
    """Signal in parts of pure water's at echo time 0.

    Parameters
    ----------
    isocentre_mm
        Where each voxel lies from the scanner's isocentre.
    """
    distance = np.square(isocentre_mm / 100).sum(axis=-1).astype(np.float32)
    b_played = scanner.b_gain * (1 + scanner.nonlinearity * distance)
    weights = tissue.fractions * (PROTON_DENSITY * np.exp(-scanner.te_ms / T2_MS)).astype(
        np.float32
    )
    weights *= (1 + scanner.receive_rise * distance)[..., None]
    volumes = np.empty((*distance.shape, len(table.bvals)), dtype=np.float32)
    for n, (b, direction) in enumerate(zip(table.bvals, table.bvecs, strict=True)):
        b_here = b_played * np.float32(b if b >= B0_THRESHOLD else 0)
        volume = np.einsum(
            "...k,...k", weights, simulate_attenuation(tissue, scanner, b_here, direction)
        )
        volumes[..., n] = ndimage.gaussian_filter(
            volume, scanner.psf_mm / FWHM_PER_SIGMA / voxel_mm
        )
    return volumes


def simulate_attenuation(
    tissue: PhantomTissue,
    scanner: PhantomScanner,
    b: Float[np.ndarray, "x y z"],
    direction: Float[np.ndarray, " 3"],
) -> Float[np.ndarray, "x y z 4"]:
    """S/S0 of white matter, grey matter, CSF and scalp in each voxel."""
    axial, radial, grey = np.moveaxis(tissue.diffusivities, -1, 0)
    radial = np.float32(scanner.radial_gain) * radial
    cosines2 = np.square(tissue.fibres @ direction.astype(np.float32))
    fibres = np.exp(-b[..., None] * (radial[..., None] + (axial - radial)[..., None] * cosines2))
    dispersed = (1 - tissue.fibre_fractions.sum(axis=-1)) * np.exp(
        -b * np.float32(DISPERSED_DIFFUSIVITY)
    )
    white = np.einsum("...k,...k", tissue.fibre_fractions, fibres) + dispersed
    along, across = (
        scanner.grey_gain * GREY_ALONG_FACTOR,
        scanner.grey_gain * scanner.radial_gain * GREY_ACROSS_FACTOR,
    )
    cortex = np.exp(
        -b * grey * (np.float32(across) + np.float32(along - across) * cosines2[..., -1])
    )
    return np.stack(
        [
            white,
            cortex,
            np.exp(-b * np.float32(FREE_WATER_DIFFUSIVITY)),
            np.exp(-b * np.float32(SCALP_DIFFUSIVITY)),
        ],
        axis=-1,
    )


def add_rician_noise(
    signals: Float[np.ndarray, "x y z n"], sigma: float, rng: np.random.Generator
) -> Float[np.ndarray, "x y z n"]:
    """Magnitude of the signal after complex Gaussian noise of standard deviation sigma in either channel."""
    real, imaginary = (
        np.float32(sigma) * rng.standard_normal(signals.shape, dtype=np.float32) for _ in range(2)
    )
    return np.asarray(np.hypot(signals + real, imaginary))


@cache  # one machine's table is asked for in every session
def _spread_directions(count: int, seed: int, shell: int) -> Float[np.ndarray, "n 3"]:
    """Directions that repel each other and their opposites, each then turned to a random side."""
    rng = np.random.default_rng([seed, shell])
    vertices = disperse_charges_alt(rng.standard_normal((count, 3)), 100)
    directions = (
        vertices * rng.choice([-1, 1], (count, 1)) / np.linalg.norm(vertices, axis=1, keepdims=True)
    )
    return np.asarray(directions)
