"""Small simulated travelling heads: scans of known tissue on known scanners, and so the truth for a harmonizer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from bids_shresnet.phantom.anatomy import Atlas, Person, PhantomTissue, SmoothField, sample_tissue
from bids_shresnet.phantom.scanner import (
    GradientTable,
    PhantomScanner,
    add_rician_noise,
    make_gradient_table,
    simulate_signal,
)
from bids_shresnet.scans import Dwi

WATER_SIGNAL = (
    4000.0  # signal of pure water at echo time 0, so that images fill 16-bit integers well
)
FIELD_OF_VIEW_MM = np.array([176.0, 212.0, 176.0])  # mm
HEAD_CENTRE_MM = np.array([0.0, -18.0, 8.0])  # mm, the middle of an MNI head; also the isocentre
T1W_SNR = 25.0


@dataclass(frozen=True)
class PhantomSession:
    """Where a head lay on a scanner's grid.

    Attributes
    ----------
    shape, affine
        The grid, nearest to RAS and perhaps oblique; voxel indices to world mm.
    rotation, shift
        From head to world: the head is turned about `CENTRE` and then shifted (mm).
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
        """What is seen in each voxel; without the EPI distortion, as a T1-weighted scan sees it."""
        seen = self.voxel_positions
        if is_distorted:
            seen += self.distortion.evaluate(seen)[..., None] * self.affine[:3, 1] / self.voxel_mm
        head = (seen - HEAD_CENTRE_MM - self.shift) @ self.rotation + HEAD_CENTRE_MM
        return sample_tissue(atlas, person, head, self.rotation)


def draw_session(
    scanner: PhantomScanner, voxel_mm: float, rng: np.random.Generator
) -> PhantomSession:
    """A head laid down at random: turned by up to 5 degrees about each axis, shifted by up to 4 mm along each."""
    shape = np.ceil(FIELD_OF_VIEW_MM / voxel_mm).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = (
        Rotation.from_euler("xyz", scanner.tilt_degrees, degrees=True).as_matrix() * voxel_mm
    )
    affine[:3, 3] = HEAD_CENTRE_MM - affine[:3, :3] @ ((shape - 1) / 2)
    return PhantomSession(
        shape=(int(shape[0]), int(shape[1]), int(shape[2])),
        affine=affine,
        rotation=Rotation.from_euler("xyz", rng.uniform(-5, 5, 3), degrees=True).as_matrix(),
        shift=rng.uniform(-4, 4, 3),
        distortion=SmoothField.draw(rng, scanner.distortion_mm, length_mm=20.0),
    )


def simulate_dwi(
    tissue: PhantomTissue,
    scanner: PhantomScanner,
    session: PhantomSession,
    rng: np.random.Generator,
) -> Dwi:
    """A DWI series as the scanner writes it, with noise."""
    clean = simulate_noise_free_dwi(tissue, scanner, session, make_gradient_table(scanner))
    sigma = noise_sigma(clean, tissue, scanner)
    return Dwi(add_rician_noise(clean.data, sigma, rng), clean.affine, clean.bvals, clean.bvecs)


def simulate_noise_free_dwi(
    tissue: PhantomTissue, scanner: PhantomScanner, session: PhantomSession, table: GradientTable
) -> Dwi:
    """A DWI series of a scanner without noise, on any gradient table."""
    offsets = session.voxel_positions - HEAD_CENTRE_MM
    water = simulate_signal(tissue, scanner, table, isocentre_mm=offsets, voxel_mm=session.voxel_mm)
    return Dwi(np.float32(WATER_SIGNAL) * water, session.affine, table.bvals, table.bvecs)


def noise_sigma(clean: Dwi, tissue: PhantomTissue, scanner: PhantomScanner) -> float:
    """Standard deviation of the noise in either channel that gives the scanner's SNR."""
    return float(np.median(clean.data[tissue.brain_mask][:, clean.is_b0])) / scanner.snr


def simulate_true_dwi(
    tissue: PhantomTissue, source: PhantomScanner, target: PhantomScanner, session: PhantomSession
) -> Dwi:
    """What the target scanner would have measured without noise, had it looked in the source scan's place.

    Head, grid and directions are those of the source scan (`tissue` and `session`), physics and b-values of the
    shells those of the target.
    """
    played = make_gradient_table(source)
    partner = dict(zip(source.bvalues, target.bvalues, strict=True))
    bvals = np.array([partner.get(b, b) for b in played.bvals.tolist()])
    return simulate_noise_free_dwi(tissue, target, session, GradientTable(bvals, played.bvecs))


def simulate_t1w(tissue: PhantomTissue, rng: np.random.Generator) -> Float[np.ndarray, "x y z"]:
    """A T1-weighted image, brightest at about 1."""
    noisy = add_rician_noise(
        tissue.t1[..., None], float(np.median(tissue.t1[tissue.brain_mask])) / T1W_SNR, rng
    )
    return noisy[..., 0]
