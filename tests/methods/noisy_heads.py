"""Small heads as scans with noise, and training data of their halves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bids_shresnet.diffusion.harmonics import evaluation_matrix
from bids_shresnet.diffusion.represent import represent_dwi
from bids_shresnet.inputs.load_scan import LoadedScan
from bids_shresnet.methods.harmonizer import FitTask
from bids_shresnet.pairs import TravellingSubject
from bids_shresnet.scans import Dwi
from bids_shresnet.training.match_halves import match_halves
from tests.diffusion.heads import make_dwi, sphere
from tests.methods.heads import SHELLS, fit_task, head, travelling

GRID = (14, 14, 14)
DIRECTIONS = 24
SIGMA = 0.06


def noisy_scan(seed: int, sigma: float = SIGMA) -> LoadedScan:
    """A head's scan with Gaussian noise in its weighted volumes."""
    image = head(seed, GRID)
    signal = image.coefficients @ evaluation_matrix([sphere(DIRECTIONS)], SHELLS).T
    noise = sigma * np.random.default_rng(seed).standard_normal(signal.shape)
    relative = np.clip(signal + noise, 0, 1)
    dwi = make_dwi(relative, np.full(DIRECTIONS, 1000.0), sphere(DIRECTIONS))
    on_grid = Dwi(dwi.data, image.affine, dwi.bvals, dwi.bvecs)
    return LoadedScan(on_grid, image.mask, on_grid.data[..., 0])


def halved_subjects(seed: int) -> list[TravellingSubject]:
    """Each half of a head's noisy scan, matched with the other one."""
    scan = noisy_scan(seed)
    representation = represent_dwi(scan.dwi, scan.mask, SHELLS)
    subject = travelling(head(seed, GRID))
    tissue = scan.mask.astype(np.int64)
    halves = match_halves(scan, representation.noise_variance, tissue, SHELLS)
    return [replace(subject, matched=half) for half in halves]


def denoising_task(**changes: object) -> FitTask:
    """Fit on the halves of three heads, stopped by a fourth one."""
    training = [subject for seed in (1, 2, 3) for subject in halved_subjects(seed)]
    return fit_task(training, halved_subjects(4)[0], **changes)
