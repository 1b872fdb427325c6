"""Scanners that change a real head in a known way, for semi_synthetic.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_shresnet.diffusion.harmonics import evaluation_matrix, order_indices
from bids_shresnet.diffusion.spatial.interpolation import sample_image
from bids_shresnet.phantom.scanner import FWHM_PER_SIGMA, PhantomScanner, make_gradient_table
from bids_shresnet.scans import Dwi, ShImage

BVALUE = 1000.0  # s/mm2
B0_COUNT = 2
S0_MEDIAN = 1000.0  # of the brain
MIN_RELATIVE_SIGNAL = 1e-3
SCALP_SIGNAL = 0.3  # S/S0 outside the brain


@dataclass(frozen=True)
class ScannerOperator:
    """What a scanner makes of a head."""

    directions: int = 30
    """Gradient directions."""
    blur_mm: float = 0.0
    """Full width at half maximum of a Gaussian that blurs every volume."""
    b_exponent: float = 1.0
    """Exponent k of S/S0: the b-value is k times the one that is written."""
    order_gains: tuple[float, ...] = (1.0, 1.0, 1.0)
    """Factors on the spherical harmonics of order 0, 2 and 4."""
    bore: float = 0.0
    """Relative change of b 100 mm away from the middle of the image; it grows with the square."""
    drift: float = 0.0
    """Share of the signal that is lost until the last volume."""
    snr: float = 25.0
    """Median S0 of the brain over the standard deviation of the noise in a channel."""
    coils: int = 1
    """Receive channels whose sum of squares is the image: its noise is noncentral chi."""
    max_rotation_degrees: float = 0.0
    """Rotation of the head about each axis."""
    max_shift_mm: float = 0.0
    """Shift of the head along each axis."""


@dataclass(frozen=True)
class Head:
    """A real head.

    Attributes
    ----------
    image
        S/S0 at b = 1000 s/mm2.
    s0
        Its median in the brain is `S0_MEDIAN`.
    tissue
        Values of `Tissue`.
    """

    image: ShImage
    s0: Float[np.ndarray, "x y z"]
    tissue: Float[np.ndarray, "x y z"]

    @property
    def positions(self) -> Float[np.ndarray, "p 3"]:
        """Centres of all voxels, mm."""
        indices = np.indices(self.s0.shape).reshape(3, -1).T
        affine = self.image.affine
        return np.asarray(indices @ affine[:3, :3].T + affine[:3, 3])

    @property
    def voxel_mm(self) -> Float[np.ndarray, " 3"]:
        """Edges of a voxel."""
        return np.asarray(np.linalg.norm(self.image.affine[:3, :3], axis=0))


@dataclass(frozen=True)
class Pose:
    """The head is rotated about the middle of the image and then shifted (mm)."""

    rotation: Float[np.ndarray, "3 3"]
    shift: Float[np.ndarray, " 3"]

    @classmethod
    def draw(cls, scanner: ScannerOperator, rng: np.random.Generator) -> Pose:
        """Draw a pose within the scanner's limits."""
        limit = scanner.max_rotation_degrees
        angles = rng.uniform(-limit, limit, 3)
        rotation = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
        return cls(rotation, rng.uniform(-scanner.max_shift_mm, scanner.max_shift_mm, 3))


STILL = Pose(np.eye(3), np.zeros(3))


def spread_directions(count: int, seed: int) -> Float[np.ndarray, "n 3"]:
    """Spread the directions of a scanner, the same for all its scans of one seed."""
    scanner = PhantomScanner(
        sidecar={}, directions=count, table_seed=seed, b0_count=0, te_ms=0.0, psf_mm=0.0, snr=1.0
    )
    return make_gradient_table(scanner).bvecs


def simulate_scan(
    head: Head,
    scanner: ScannerOperator,
    bvecs: Float[np.ndarray, "n 3"],
    *,
    pose: Pose = STILL,
    rng: np.random.Generator | None = None,
) -> Dwi:
    """Simulate a scan with these directions; drift and noise need a generator."""
    positions = head.positions
    middle = positions.mean(axis=0)
    in_head = (positions - middle - pose.shift) @ pose.rotation + middle
    channels = np.concatenate([head.image.coefficients, head.s0[..., None]], axis=3)
    sampled = sample_image(channels, head.image.affine, in_head)
    relative = _relative_signal(head.image, sampled[:, :-1], scanner, bvecs @ pose.rotation)
    exponents = _b_factors(scanner, positions - middle) * BVALUE / head.image.shells[0].bvalue
    s0 = np.repeat(np.maximum(sampled[:, -1:], 0), B0_COUNT, axis=1)
    signal = np.concatenate([s0, s0[:, :1] * relative ** exponents[:, None]], axis=1)
    data = _blur(signal.reshape(*head.s0.shape, -1), scanner.blur_mm / head.voxel_mm)
    return Dwi(
        data=data if rng is None else _add_drift_and_noise(data, scanner, rng),
        affine=head.image.affine,
        bvals=np.repeat([0.0, BVALUE], [B0_COUNT, len(bvecs)]),
        bvecs=np.concatenate([np.zeros((B0_COUNT, 3)), bvecs]),
    )


def _b_factors(
    scanner: ScannerOperator, from_middle: Float[np.ndarray, "p 3"]
) -> Float[np.ndarray, " p"]:
    """Factors on b at positions relative to the middle of the bore, mm."""
    squared_distance = np.square(from_middle / 100).sum(axis=1)
    return np.asarray(scanner.b_exponent * (1 + scanner.bore * squared_distance))


def _blur(
    data: Float[np.ndarray, "x y z n"], width: Float[np.ndarray, " 3"]
) -> Float[np.ndarray, "x y z n"]:
    """Blur every volume with a Gaussian of this full width at half maximum, voxels."""
    sigma = width / FWHM_PER_SIGMA
    return np.asarray(ndimage.gaussian_filter(data.astype(np.float32), (*sigma, 0)))


def _relative_signal(
    image: ShImage,
    coefficients: Float[np.ndarray, "p c"],
    scanner: ScannerOperator,
    bvecs: Float[np.ndarray, "n 3"],
) -> Float[np.ndarray, "p n"]:
    """S/S0 with the gain of each order, and `SCALP_SIGNAL` where there is no brain."""
    gains = np.ones(coefficients.shape[1])
    for gain, group in zip(scanner.order_gains, order_indices(image.shells), strict=False):
        gains[group] = gain
    signal = (coefficients * gains) @ evaluation_matrix([bvecs], image.shells).T
    is_brain = coefficients[:, :1] > 0
    return np.where(is_brain, np.clip(signal, MIN_RELATIVE_SIGNAL, 1), SCALP_SIGNAL)


def _add_drift_and_noise(
    data: Float[np.ndarray, "x y z n"], scanner: ScannerOperator, rng: np.random.Generator
) -> Float[np.ndarray, "x y z n"]:
    """Let the signal drift, and take the root of the sum of squares over noisy channels."""
    drifting = data * np.linspace(1, 1 - scanner.drift, data.shape[3], dtype=np.float32)
    sigma = S0_MEDIAN / scanner.snr
    real = drifting + sigma * rng.standard_normal(data.shape, dtype=np.float32)
    others = sigma**2 * rng.chisquare(2 * scanner.coils - 1, data.shape)
    return np.asarray(np.sqrt(np.square(real) + others), dtype=np.float32)
