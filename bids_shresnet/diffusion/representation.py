"""Shells of a scan in spherical harmonics, and from harmonics back to a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.linalg import block_diag

from bids_shresnet.diffusion.attenuation import (
    MAX_RELATIVE_SIGNAL,
    MIN_RELATIVE_SIGNAL,
    mean_b0,
)
from bids_shresnet.diffusion.bvalues import change_signal_bvalues
from bids_shresnet.diffusion.harmonics import (
    basis,
    evaluation_matrix,
    order_indices,
)
from bids_shresnet.diffusion.rish import rish
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.runtime import spool
from bids_shresnet.scans import Dwi, ShImage


@dataclass(frozen=True, kw_only=True)
class Representation:
    """Shells of one scan.

    Attributes
    ----------
    image
        Their coefficients, stacked.
    volumes
        Indices of each shell's volumes in the DWI.
    signal
        S/S0 of these volumes side by side, at the b-values of the shells; (voxel of the mask,
        direction).
    directions
        Their directions (world axes), one table per shell.
    clipped_share
        Share of values that were clipped, as outside the limits of S/S0.
    noise_variance
        Variance of the noise in one value of `signal`, for each voxel of the mask; NaN where it is
        not known.
    """

    image: ShImage
    volumes: tuple[Int[np.ndarray, " _"], ...]
    signal: Float[np.ndarray, "v d"]
    directions: tuple[Float[np.ndarray, "_ 3"], ...]
    clipped_share: float
    noise_variance: Float[np.ndarray, " v"]


def find_represented_volumes(dwi: Dwi, representation: Representation) -> Int[np.ndarray, " k"]:
    """Find the b0 volumes and those of the shells, ascending: what a harmonized scan keeps.

    FA and MD of scans as measured rest on them alone. Shells without a partner would make them
    differ from those of harmonized scans.
    """
    return np.sort(np.concatenate([np.flatnonzero(dwi.is_b0), *representation.volumes]))


def unregularized_coefficients(representation: Representation) -> Float[np.ndarray, "v c"]:
    """Fit by plain least squares, which shrinks nothing and keeps all noise; voxels of the mask."""
    shells = representation.image.shells
    fits = [
        np.linalg.pinv(basis(table, shell.sh_order))
        for table, shell in zip(representation.directions, shells, strict=True)
    ]
    return np.asarray(representation.signal @ block_diag(*fits).T.astype(np.float32))


def synthesize_dwi(
    dwi: Dwi,
    representation: Representation,
    image: ShImage,
    bvalues: Sequence[float],
    directions: Sequence[Float[np.ndarray, "_ 3"]] | None = None,
) -> Dwi:
    """Make a DWI of the scan's own b0 volumes and of shells with harmonized signal.

    Parameters
    ----------
    dwi, representation
        The scan and its representation.
    image
        Harmonized coefficients of the same shells. Voxels of the brain that are not in its mask
        are not harmonized: their measured signal is brought to the b-values.
    bvalues
        b-value of the harmonized signal of each shell, s/mm2.
    directions
        New directions of each shell (world axes); by default the scan's own, with each volume at
        its position. Volumes that belong to no shell of the image are dropped, because nothing
        predicts what the target scanner would measure there.

    Returns
    -------
    Inside the mask harmonized S/S0 times the scan's S0, outside as measured; with new directions
    zero outside.
    """
    if directions is None:
        output, indices = _copy_own_volumes(dwi, representation)
        tables = representation.directions
    else:
        output, indices = _allocate_new_volumes(dwi, directions)
        tables = tuple(directions)
    values = output.data[image.mask]
    values[:, indices] = _compute_signal(image, tables, dwi)
    output.data[image.mask] = values
    new_bvals = np.repeat(np.asarray(bvalues, float), [len(table) for table in tables])
    if directions is None:
        is_unharmonized = representation.image.mask & ~image.mask
        _change_measured_bvalues(output, is_unharmonized, indices, new_bvals)
    output.bvals[indices] = new_bvals
    return output


def append_shells(
    dwi: Dwi, source: Dwi, image: ShImage, directions: Sequence[Float[np.ndarray, "_ 3"]]
) -> Dwi:
    """Append the shells of an image to a DWI as further volumes.

    Parameters
    ----------
    source
        The scan as measured, which gives S0.
    image
        Coefficients of the appended shells.
    directions
        Directions of each appended shell (world axes).

    Returns
    -------
    In the new volumes S/S0 times S0 inside the mask of the image, zero outside.
    """
    signal = _compute_signal(image, directions, source)
    data = _append_empty_volumes(dwi.data, signal.shape[1])
    data[image.mask, dwi.data.shape[3] :] = signal
    shell_bvalues = [shell.bvalue for shell in image.shells]
    new_bvals = np.repeat(shell_bvalues, [len(table) for table in directions])
    return Dwi(
        data=data,
        affine=dwi.affine,
        bvals=np.concatenate([dwi.bvals, new_bvals]),
        bvecs=np.concatenate([dwi.bvecs, *directions]),
    )


def _compute_signal(
    image: ShImage, directions: Sequence[Float[np.ndarray, "_ 3"]], source: Dwi
) -> Float[np.ndarray, "v d"]:
    """Return S/S0 of the mask's voxels in some directions, times S0 of the source."""
    matrix = evaluation_matrix(directions, image.shells).astype(np.float32)
    relative = np.clip(
        image.coefficients[image.mask] @ matrix.T, MIN_RELATIVE_SIGNAL, MAX_RELATIVE_SIGNAL
    )
    s0 = np.maximum(mean_b0(source)[image.mask], 0)
    return np.asarray(relative * s0[:, None])


def _change_measured_bvalues(
    dwi: Dwi,
    mask: Bool[np.ndarray, "x y z"],
    volumes: Int[np.ndarray, " d"],
    new_bvals: Float[np.ndarray, " d"],
) -> None:
    """Bring the signal of some volumes to other b-values inside a mask, in place."""
    values = dwi.data[mask]
    s0 = mean_b0(dwi)[mask][:, None]
    values[:, volumes] = change_signal_bvalues(
        values[:, volumes], s0, dwi.bvals[volumes], new_bvals
    )
    dwi.data[mask] = values


def _copy_own_volumes(
    dwi: Dwi, representation: Representation
) -> tuple[Dwi, Int[np.ndarray, " d"]]:
    """Copy the scan's b0 volumes and shells in their order.

    Returns
    -------
    The copy, and the indices of the shells' volumes in it.
    """
    kept = find_represented_volumes(dwi, representation)
    indices = np.searchsorted(kept, np.concatenate(representation.volumes))
    data = spool.allocate_array((*dwi.shape, len(kept)))
    # slab by slab, because a copy of the whole would be needed at once otherwise
    for slab, measured in zip(data, dwi.data, strict=True):
        slab[:] = measured[..., kept]
        slab[..., indices] = np.maximum(np.nan_to_num(slab[..., indices]), 0)
    return Dwi(data, dwi.affine, dwi.bvals[kept], dwi.bvecs[kept]), indices


def _allocate_new_volumes(
    dwi: Dwi, directions: Sequence[Float[np.ndarray, "_ 3"]]
) -> tuple[Dwi, Int[np.ndarray, " d"]]:
    """Copy the scan's b0 volumes and append empty ones for new directions.

    Returns
    -------
    The DWI, and the indices of the empty volumes in it.
    """
    b0_count = int(dwi.is_b0.sum())
    new_bvecs = np.concatenate(directions)
    data = _append_empty_volumes(dwi.data[..., dwi.is_b0], len(new_bvecs))
    bvals = np.concatenate([dwi.bvals[dwi.is_b0], np.zeros(len(new_bvecs))])
    bvecs = np.concatenate([dwi.bvecs[dwi.is_b0], new_bvecs])
    return Dwi(data, dwi.affine, bvals, bvecs), np.arange(b0_count, data.shape[3])


def _append_empty_volumes(
    volumes: Float[np.ndarray, "x y z n"], count: int
) -> Float[np.ndarray, "x y z m"]:
    """Copy volumes and append a number of volumes of zeros."""
    measured_count = volumes.shape[3]
    data = spool.allocate_array((*volumes.shape[:3], measured_count + count))
    data[..., :measured_count] = volumes
    data[..., measured_count:] = 0
    return data


def mean_signal(representation: Representation) -> Float[np.ndarray, "x y z"]:
    """Mean S/S0 over the directions of the first shell."""
    first_shell = representation.signal[:, : len(representation.directions[0])]
    return unmask(first_shell.mean(axis=1), representation.image.mask)


def anisotropy(image: ShImage) -> Float[np.ndarray, "x y z"]:
    """Contrast akin to FA, from the first shell: sqrt(power of order 2 / power of order 0)."""
    power = rish(image.coefficients[image.mask], order_indices(image.shells)[:2])
    level_power = power[:, 0]
    ratio = np.sqrt(power[:, 1] / np.maximum(level_power, np.finfo(np.float32).tiny))
    values = np.where(level_power > 0, np.minimum(ratio, 1), 0)
    return unmask(values.astype(np.float32), image.mask)
