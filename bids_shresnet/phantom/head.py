"""Simulated scans of a phantom head: where it lay, what was measured, and the noise-free truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from bids_shresnet.phantom.anatomy import Person, PhantomTissue, SmoothField, sample_tissue
from bids_shresnet.phantom.atlas import Atlas
from bids_shresnet.phantom.scanner import (
    GradientTable,
    PhantomScanner,
    add_rician_noise,
    make_gradient_table,
    simulate_signal,
)
from bids_shresnet.scans import Dwi

WATER_SIGNAL = 4000.0  # of pure water at echo time 0, so that images fill 16-bit integers well
FIELD_OF_VIEW_MM = np.array([176.0, 212.0, 176.0])
HEAD_CENTRE_MM = np.array([0.0, -18.0, 8.0])  # middle of an MNI head; also the isocentre
MAX_ROTATION_DEGREES = 5.0
MAX_SHIFT_MM = 4.0
DISTORTION_LENGTH_MM = 20.0
T1W_SNR = 25.0


@dataclass(frozen=True)
class PhantomSession:
    """Position of a head on a scanner's grid.

    Attributes
    ----------
    shape, affine
        The grid, nearest to RAS and perhaps oblique; voxel indices to world mm.
    rotation, shift
        From head to world: the head is rotated about `HEAD_CENTRE_MM` and then shifted (mm).
    distortion
        Residual EPI distortion, mm along the grid's y axis.
    """

    shape: tuple[int, int, int]
    affine: Float[np.ndarray, "4 4"]
    rotation: Float[np.ndarray, "3 3"]
    shift: Float[np.ndarray, " 3"]
    distortion: SmoothField

    @property
    def voxel_mm(self) -> float:
        """Edge of a voxel."""
        return float(np.linalg.norm(self.affine[:3, 0]))

    @property
    def voxel_positions(self) -> Float[np.ndarray, "x y z 3"]:
        """Centres of the voxels in mm."""
        indices = np.moveaxis(np.indices(self.shape), 0, -1)
        return np.asarray(indices @ self.affine[:3, :3].T + self.affine[:3, 3])

    def compute_tissue(
        self, atlas: Atlas, person: Person, *, is_distorted: bool = True
    ) -> PhantomTissue:
        """Compute the tissue in each voxel; a T1-weighted scan has no EPI distortion."""
        positions = self.voxel_positions
        if is_distorted:
            distance = self.distortion.evaluate(positions)[..., None]
            positions += distance * self.affine[:3, 1] / self.voxel_mm
        head_points = (positions - HEAD_CENTRE_MM - self.shift) @ self.rotation + HEAD_CENTRE_MM
        return sample_tissue(atlas, person, head_points, self.rotation)


def draw_session(
    scanner: PhantomScanner, voxel_mm: float, rng: np.random.Generator
) -> PhantomSession:
    """Draw a random position: rotated by up to 5 degrees and shifted by up to 4 mm per axis."""
    shape = np.ceil(FIELD_OF_VIEW_MM / voxel_mm).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = _rotation_matrix(scanner.tilt_degrees) * voxel_mm
    affine[:3, 3] = HEAD_CENTRE_MM - affine[:3, :3] @ ((shape - 1) / 2)
    angles = rng.uniform(-MAX_ROTATION_DEGREES, MAX_ROTATION_DEGREES, 3)
    return PhantomSession(
        shape=(int(shape[0]), int(shape[1]), int(shape[2])),
        affine=affine,
        rotation=_rotation_matrix(angles),
        shift=rng.uniform(-MAX_SHIFT_MM, MAX_SHIFT_MM, 3),
        distortion=SmoothField.draw(rng, scanner.distortion_mm, length_mm=DISTORTION_LENGTH_MM),
    )


def _rotation_matrix(
    degrees: tuple[float, float, float] | Float[np.ndarray, " 3"],
) -> Float[np.ndarray, "3 3"]:
    """Rotation about x, y and z."""
    return np.asarray(Rotation.from_euler("xyz", degrees, degrees=True).as_matrix())


def simulate_dwi(
    tissue: PhantomTissue,
    scanner: PhantomScanner,
    session: PhantomSession,
    rng: np.random.Generator,
) -> Dwi:
    """Simulate a DWI as the scanner measures it, with noise."""
    clean = simulate_noise_free_dwi(tissue, scanner, session, make_gradient_table(scanner))
    sigma = noise_sigma(clean, tissue, scanner)
    return Dwi(add_rician_noise(clean.data, sigma, rng), clean.affine, clean.bvals, clean.bvecs)


def simulate_noise_free_dwi(
    tissue: PhantomTissue, scanner: PhantomScanner, session: PhantomSession, table: GradientTable
) -> Dwi:
    """Simulate a DWI of a scanner without noise, on any gradient table."""
    offsets = session.voxel_positions - HEAD_CENTRE_MM
    water = simulate_signal(tissue, scanner, table, isocentre_mm=offsets, voxel_mm=session.voxel_mm)
    return Dwi(np.float32(WATER_SIGNAL) * water, session.affine, table.bvals, table.bvecs)


def noise_sigma(clean: Dwi, tissue: PhantomTissue, scanner: PhantomScanner) -> float:
    """Standard deviation of the noise in either channel that gives the scanner's SNR."""
    return float(np.median(clean.data[tissue.brain_mask][:, clean.is_b0])) / scanner.snr


def simulate_true_dwi(
    tissue: PhantomTissue, source: PhantomScanner, target: PhantomScanner, session: PhantomSession
) -> Dwi:
    """Simulate the source scan as the target scanner would have measured it, without noise.

    Head, grid and directions are those of the source scan (`tissue` and `session`), physics and
    b-values of the shells those of the target.
    """
    source_table = make_gradient_table(source)
    target_bvalues = dict(zip(source.bvalues, target.bvalues, strict=True))
    bvals = np.array([target_bvalues.get(b, b) for b in source_table.bvals.tolist()])
    return simulate_noise_free_dwi(
        tissue, target, session, GradientTable(bvals, source_table.bvecs)
    )


def simulate_t1w(tissue: PhantomTissue, rng: np.random.Generator) -> Float[np.ndarray, "x y z"]:
    """Simulate a T1-weighted image, brightest at about 1."""
    sigma = float(np.median(tissue.t1[tissue.brain_mask])) / T1W_SNR
    return add_rician_noise(tissue.t1[..., None], sigma, rng)[..., 0]
