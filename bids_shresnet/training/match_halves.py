"""Match a scan with itself: patches of one half of its directions, labels of the other half."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped

from bids_shresnet.diffusion.halves import represent_halves
from bids_shresnet.diffusion.harmonics import evaluation_matrix
from bids_shresnet.diffusion.measurement_noise import relative_s0
from bids_shresnet.diffusion.representation import Representation
from bids_shresnet.diffusion.spatial.anisotropy_denoising import denoise_orders
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.inputs.load_scan import LoadedScan
from bids_shresnet.network.patches import cut_patches, patches_to_rows
from bids_shresnet.pairs import MatchedVoxels
from bids_shresnet.scans import Shell, ShImage

MAX_VOXELS = 20_000  # of each of both matches; their patches take 35 MB
SEED = 2018


def match_halves(
    loaded: LoadedScan,
    variance: Float[np.ndarray, " v"],
    tissue: Int[np.ndarray, "x y z"],
    shells: Sequence[Shell],
) -> tuple[MatchedVoxels, ...]:
    """Match each half of a scan's directions with the other half, at voxels drawn from the mask.

    Parameters
    ----------
    loaded, tissue
        The scan and its tissue (values of `Tissue`).
    variance
        Variance of the noise in one value of the whole scan's S/S0, for each voxel of the mask.
    shells
        Shells of a half, as `halve_shells` gives them; none if the directions are too few.

    Returns
    -------
    The first half with labels of the second, and the second with labels of the first; nothing
    without shells.
    """
    if not shells:
        return ()
    halves = represent_halves(loaded.dwi, loaded.mask, shells)
    s0 = relative_s0(loaded.s0, loaded.mask)[loaded.mask].astype(np.float32)
    rng = np.random.default_rng(SEED)
    matches = []
    for source, target in (halves, halves[::-1]):
        drawn = np.sort(rng.permutation(len(variance))[:MAX_VOXELS])
        match = _match_voxels(source, target, drawn, variance)
        of_scan = {
            "noise_variance": variance[drawn].astype(np.float32),
            "source_s0": s0[drawn],
            "tissue": tissue[loaded.mask][drawn].astype(np.uint8),
        }
        matches.append(MatchedVoxels(**match, **of_scan))
    return tuple(matches)


def _match_voxels(
    source: Representation,
    target: Representation,
    rows: Int[np.ndarray, " v"],
    variance: Float[np.ndarray, " m"],
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Collect patches of one half and measurements of the other at some voxels of the mask."""
    image = source.image
    voxels = np.argwhere(image.mask)[rows]
    # a half has fewer directions to tell noise by than the whole scan, and the same noise
    denoised = denoise_orders(replace(source, noise_variance=variance))
    return {
        "patches": _cut_rows(image.channels, voxels),
        "denoised_patches": _cut_rows(unmask(denoised, image.mask), voxels),
        "signal": target.signal[rows].astype(np.float16),
        "bvals": _bvalues(target),
        "bvecs": np.concatenate(target.directions),
        "sh_matrix": evaluation_matrix(target.directions, target.image.shells).astype(np.float32),
        "points": _world_positions(image, voxels),
    }


def _cut_rows(
    volume: Float[np.ndarray, "x y z n"], voxels: Int[np.ndarray, "v 3"]
) -> Float[np.ndarray, "v 27 n"]:
    """Patches as they are when the network is applied: zero outside the mask."""
    patches = cut_patches(torch.from_numpy(volume), torch.from_numpy(voxels))
    return np.asarray(patches_to_rows(patches).to(torch.float16).numpy())


def _bvalues(representation: Representation) -> Float[np.ndarray, " d"]:
    bvalues = [shell.bvalue for shell in representation.image.shells]
    return np.repeat(bvalues, [len(table) for table in representation.directions])


def _world_positions(image: ShImage, voxels: Int[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
    positions = voxels @ image.affine[:3, :3].T + image.affine[:3, 3]
    return np.asarray(positions, dtype=np.float32)
