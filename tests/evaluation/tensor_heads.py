"""A head of known tensors: a ball of white matter inside grey matter."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from bids_shresnet.diffusion.represent import represent_source
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tensors import fit_dwi_tensor
from bids_shresnet.evaluation.effects.experiment import EffectExperiment, Harmonize
from bids_shresnet.evaluation.effects.known_effects import ScanAnatomy
from bids_shresnet.evaluation.results import HeldOutRow
from bids_shresnet.inputs.load_scan import LoadedScan, add_mask_and_s0
from bids_shresnet.scans import Dwi, Shell, Tissue
from tests.diffusion.heads import make_dwi, sphere

SIDE = 18  # voxels
WHITE_RADIUS = 5.5
HEAD_RADIUS = 8.0
VOXEL_MM = 2.0
DIRECTIONS = sphere(30)
B = 1000.0
TENSORS = {
    Tissue.WM: np.diag([1.5e-3, 0.4e-3, 0.4e-3]),
    Tissue.GM: np.diag([0.9e-3] + [0.8e-3] * 2),
}
ROW = HeldOutRow(subject="01", fold=1, method="shresnet")


def tissue_labels() -> Int[np.ndarray, "x y z"]:
    """White matter in the middle, grey matter around it, 0 outside."""
    steps = np.indices((SIDE, SIDE, SIDE)) - (SIDE - 1) / 2
    radius = np.sqrt(np.square(steps).sum(axis=0))
    return np.select([radius < WHITE_RADIUS, radius < HEAD_RADIUS], [Tissue.WM, Tissue.GM], 0)


def head_scan(*, sigma: float = 0.0) -> LoadedScan:
    """A scan of the head, with noise relative to S0."""
    labels = tissue_labels()
    relative = np.full((*labels.shape, len(DIRECTIONS)), 0.05)
    for label, tensor in TENSORS.items():
        exponents = np.einsum("ni,ij,nj->n", DIRECTIONS, tensor, DIRECTIONS)
        relative[labels == label] = np.exp(-B * exponents)
    noise = np.random.default_rng(0).standard_normal(relative.shape)
    plain = make_dwi(relative + sigma * noise, np.full(len(DIRECTIONS), B), DIRECTIONS)
    affine = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
    return add_mask_and_s0(Dwi(plain.data, affine, plain.bvals, plain.bvecs), labels > 0)


def head_anatomy(scan: LoadedScan) -> ScanAnatomy:
    """The tissue that is known, and the tensors of the scan."""
    tensors = fit_dwi_tensor(scan.dwi, scan.mask)
    return ScanAnatomy(
        tissue=tissue_labels(),
        fa=unmask(tensors.fa, scan.mask),
        direction=unmask(tensors.direction, scan.mask),
        affine=scan.dwi.affine,
    )


def experiment(harmonize: Harmonize, *, sigma: float = 0.02) -> EffectExperiment:
    """An experiment on the head."""
    scan = head_scan(sigma=sigma)
    return EffectExperiment(
        row=ROW,
        scan=scan,
        representation=represent_source(scan.dwi, scan.mask, (Shell(B, 4),)),
        anatomy=head_anatomy(scan),
        harmonize=harmonize,
        seed=3,
    )


def own_maps(scan: LoadedScan, voxels: Bool[np.ndarray, "x y z"]) -> Float[np.ndarray, "v 2"]:
    """FA and MD of the scan as it is."""
    tensors = fit_dwi_tensor(scan.dwi, voxels)
    return np.stack([tensors.fa, tensors.md], axis=1)
