"""The harmonizer of this app: SHResNet, fitted on travelling subjects, applied to any scan of the source scanner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Integer

from bids_shresnet.config import NetworkConfig, TrainingConfig
from bids_shresnet.diffusion.harmonics import stacked_orders
from bids_shresnet.diffusion.representation import in_mask
from bids_shresnet.diffusion.rish import project
from bids_shresnet.network.fitting import Epoch, History, Samples, fit
from bids_shresnet.network.patches import run
from bids_shresnet.network.shresnet import Architecture, SHResNet, build
from bids_shresnet.scans import Matched, Shell, ShImage

VALIDATION_VOXELS = 30_000  # enough to tell losses apart by 0.1 %


@dataclass(frozen=True)
class Harmonized:
    """A harmonized image, and the share of (voxel, order) pairs where the RISH projection was held back."""

    image: ShImage
    guarded: float


def architecture_for(shells: Sequence[Shell], config: NetworkConfig) -> Architecture:
    """One functional unit an order and shell."""
    outputs = tuple(len(group) for group in stacked_orders(shells))
    return Architecture(outputs, config.resblocks, config.hidden or sum(outputs))


def fit_network(
    training: Sequence[Matched],
    validation: Matched,
    architecture: Architecture,
    config: TrainingConfig,
    *,
    seed: int,
    device: str = "cpu",
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> tuple[SHResNet, History]:
    """Train one network; the same seed and thread count give the same weights."""
    network = build(architecture, seed=seed).to(device)
    rows = np.random.default_rng([seed, 0]).permutation(len(validation.tissue))[:VALIDATION_VOXELS]
    history = fit(
        network,
        lambda epoch: _gather(training, _draw(training, config.voxels_per_epoch, seed=[seed, 1, epoch])),
        _gather([validation], [np.sort(rows)]),
        config,
        seed=seed,
        on_epoch=on_epoch,
    )
    return network.cpu(), history


def apply(networks: Sequence[SHResNet], image: ShImage, *, rish_projection: bool) -> Harmonized:
    """Predict every voxel of the mask with the mean of the networks, then keep the scan's own orientation."""
    device = next(networks[0].parameters()).device
    volume = torch.from_numpy(image.coefficients).to(device)
    voxels = torch.from_numpy(np.argwhere(image.mask)).to(device)
    predicted = torch.stack([run(network, volume, voxels) for network in networks]).mean(0).cpu().numpy()
    guarded = 0.0
    if rish_projection:
        projection = project(image.coefficients[image.mask], predicted, stacked_orders(image.shells))
        predicted, guarded = projection.coefficients, projection.guarded
    return Harmonized(replace(image, coefficients=in_mask(predicted, image.mask)), guarded)


def _draw(training: Sequence[Matched], count: int, *, seed: list[int]) -> list[Integer[np.ndarray, " _"]]:
    """Which voxels of each subject form an epoch: drawn from all subjects together, each at most once."""
    ends = np.cumsum([len(subject.tissue) for subject in training])
    drawn = np.sort(np.random.default_rng(seed).permutation(ends[-1])[:count])
    parts = np.split(drawn, np.searchsorted(drawn, ends[:-1]))
    return [part - (end - len(subject.tissue)) for part, end, subject in zip(parts, ends, training, strict=True)]


def _gather(subjects: Sequence[Matched], rows: Sequence[Integer[np.ndarray, " _"]]) -> Samples:
    """Read the voxels (in ascending order, kind to the disk) and pad to the largest number of directions."""
    directions = max(subject.matrix.shape[0] for subject in subjects)

    def padded(array: Float[np.ndarray, "a d"], axis: int) -> Float[np.ndarray, "b e"]:
        missing = [(0, directions - array.shape[axis]) if k == axis else (0, 0) for k in range(array.ndim)]
        return np.pad(array, missing)

    pairs = list(zip(subjects, rows, strict=True))
    return Samples(
        patches=torch.from_numpy(np.concatenate([s.patches[r] for s, r in pairs])),
        signal=torch.from_numpy(np.concatenate([padded(s.signal[r], 1) for s, r in pairs])),
        subject=torch.from_numpy(np.concatenate([np.full(len(r), i) for i, (_, r) in enumerate(pairs)])),
        matrices=torch.from_numpy(np.stack([padded(s.matrix, 0) for s in subjects]).astype(np.float32)),
    )
