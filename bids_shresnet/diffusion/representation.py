"""From a scan to what the methods work on: shells of S/S0 and their spherical harmonics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.linalg import block_diag

from bids_shresnet.diffusion.attenuation import MAX_RELATIVE_SIGNAL, compute_attenuation, mean_b0
from bids_shresnet.diffusion.contrast import s0_contrast
from bids_shresnet.diffusion.harmonics import (
    basis,
    evaluation_matrix,
    fitting_matrix,
    order_indices,
)
from bids_shresnet.diffusion.rish import rish
from bids_shresnet.diffusion.shells import find_shell_volumes
from bids_shresnet.runtime import spool
from bids_shresnet.scans import Dwi, Shell, ShImage


@dataclass(frozen=True)
class Representation:
    """Shells of one scan.

    Attributes
    ----------
    image
        Their coefficients, stacked.
    volumes
        Indices of each shell's volumes in the series.
    signal
        S/S0 of these volumes side by side, (voxel of the mask, direction).
    directions
        Their directions (world axes), one table a shell.
    clipped_share
        Share of values outside [0, 1] before clipping.
    """

    image: ShImage
    volumes: tuple[Int[np.ndarray, " _"], ...]
    signal: Float[np.ndarray, "v d"]
    directions: tuple[Float[np.ndarray, "_ 3"], ...]
    clipped_share: float


def represent_dwi(
    dwi: Dwi, mask: Bool[np.ndarray, "x y z"], shells: Sequence[Shell]
) -> Representation:
    """Divide by S0 and fit each shell's harmonics inside the mask.

    Raises
    ------
    ValueError
        If the scan lacks a shell.
    """
    relative = compute_attenuation(dwi, mask)
    volumes = find_shell_volumes(dwi.bvals, shells)
    tables = tuple(dwi.bvecs[indices] for indices in volumes)
    stacked = [
        relative.signal[:, indices] @ fitting_matrix(table, shell.sh_order).T.astype(np.float32)
        for indices, table, shell in zip(volumes, tables, shells, strict=True)
    ]
    contrast = s0_contrast(mean_b0(dwi), mask, dwi.affine)
    image = ShImage(
        unmask(np.concatenate(stacked, axis=1), mask), mask, dwi.affine, tuple(shells), contrast
    )
    signal = relative.signal[:, np.concatenate(volumes)]
    return Representation(image, volumes, signal, tables, relative.clipped_share)


def unregularized_coefficients(representation: Representation) -> Float[np.ndarray, "v c"]:
    """Coefficients of plain least squares, which shrink nothing and keep all noise; voxels of the mask."""
    fits = [
        np.linalg.pinv(basis(table, shell.sh_order))
        for table, shell in zip(representation.directions, representation.image.shells, strict=True)
    ]
    return np.asarray(representation.signal @ block_diag(*fits).T.astype(np.float32))


def synthesize_dwi(
    dwi: Dwi,
    representation: Representation,
    image: ShImage,
    bvalues: Sequence[float],
    directions: Sequence[Float[np.ndarray, "_ 3"]] | None = None,
) -> Dwi:
    """A DWI with the harmonized signal: the scan's own b0 volumes, and its shells as the coefficients say.

    Parameters
    ----------
    dwi, representation
        The scan and what was made of it.
    image
        Harmonized coefficients of the same shells.
    bvalues
        What the signal of each shell now is, s/mm2.
    directions
        New directions of each shell (world axes); by default the scan's own, each volume in its place. Volumes that
        belong to no shell of the image are left out: nothing says what the other scanner would measure there.

    Returns
    -------
    Inside the mask harmonized S/S0 times the scan's S0, outside as measured; with new directions zero outside.
    """
    if directions is None:
        frame, places = _copy_own_volumes(dwi, representation)
        tables = representation.directions
    else:
        frame, places = _allocate_new_volumes(dwi, directions)
        tables = tuple(directions)
    relative = image.coefficients[image.mask] @ evaluation_matrix(tables, image.shells).T.astype(
        np.float32
    )
    inside = frame.data[image.mask]
    inside[:, places] = (
        np.clip(relative, 0, MAX_RELATIVE_SIGNAL) * np.maximum(mean_b0(dwi)[image.mask], 0)[:, None]
    )
    frame.data[image.mask] = inside
    frame.bvals[places] = np.repeat(np.asarray(bvalues, float), [len(table) for table in tables])
    return frame


def append_shells(
    dwi: Dwi, source: Dwi, image: ShImage, directions: Sequence[Float[np.ndarray, "_ 3"]]
) -> Dwi:
    """A DWI with the shells of an image as further volumes: S/S0 times the scan's S0 inside the mask, zero outside."""
    relative = image.coefficients[image.mask] @ evaluation_matrix(
        directions, image.shells
    ).T.astype(np.float32)
    signal = (
        np.clip(relative, 0, MAX_RELATIVE_SIGNAL)
        * np.maximum(mean_b0(source)[image.mask], 0)[:, None]
    )
    bvalues = np.repeat(
        [shell.bvalue for shell in image.shells], [len(table) for table in directions]
    )
    data = _append_empty_volumes(dwi.data, signal.shape[1])
    data[image.mask, dwi.data.shape[3] :] = signal
    return Dwi(
        data,
        dwi.affine,
        np.concatenate([dwi.bvals, bvalues]),
        np.concatenate([dwi.bvecs, *directions]),
    )


def _copy_own_volumes(
    dwi: Dwi, representation: Representation
) -> tuple[Dwi, Int[np.ndarray, " d"]]:
    """A copy of the scan's b0 volumes and shells in their order, and where the shells' volumes are in it."""
    shells = np.concatenate(representation.volumes)
    kept = np.sort(np.concatenate([np.flatnonzero(dwi.is_b0), shells]))
    places = np.searchsorted(kept, shells)
    data = spool.allocate_array((*dwi.shape, len(kept)))
    for slab, measured in zip(
        data, dwi.data, strict=True
    ):  # a copy of all would be needed at once else
        slab[:] = measured[..., kept]
        slab[..., places] = np.maximum(np.nan_to_num(slab[..., places]), 0)
    return Dwi(data, dwi.affine, dwi.bvals[kept], dwi.bvecs[kept]), places


def _allocate_new_volumes(
    dwi: Dwi, directions: Sequence[Float[np.ndarray, "_ 3"]]
) -> tuple[Dwi, Int[np.ndarray, " d"]]:
    """The scan's b0 volumes, then empty ones for new directions, and where these are."""
    b0s, new = dwi.data[..., dwi.is_b0], np.concatenate(directions)
    data = _append_empty_volumes(b0s, len(new))
    bvals = np.concatenate([dwi.bvals[dwi.is_b0], np.zeros(len(new))])
    bvecs = np.concatenate([dwi.bvecs[dwi.is_b0], new])
    return Dwi(data, dwi.affine, bvals, bvecs), np.arange(b0s.shape[3], data.shape[3])


def _append_empty_volumes(
    volumes: Float[np.ndarray, "x y z n"], count: int
) -> Float[np.ndarray, "x y z m"]:
    """A copy of a series with so many volumes of zeros after it."""
    data = spool.allocate_array((*volumes.shape[:3], volumes.shape[3] + count))
    data[..., : volumes.shape[3]] = volumes
    data[..., volumes.shape[3] :] = 0
    return data


def unmask(
    values: Shaped[np.ndarray, "v *n"], mask: Bool[np.ndarray, "x y z"], *, fill: float = 0
) -> Shaped[np.ndarray, "x y z *n"]:
    """Values of the voxels of a mask as an image, and `fill` elsewhere."""
    image = np.full((*mask.shape, *values.shape[1:]), fill, dtype=values.dtype)
    image[mask] = values
    return image


def anisotropy(image: ShImage) -> Float[np.ndarray, "x y z"]:
    """Contrast akin to FA, from the first shell: square root of the power of order 2 over that of order 0."""
    orders = order_indices(image.shells)[:2]
    power = rish(image.coefficients[image.mask], orders)
    ratio = np.sqrt(power[:, 1] / np.maximum(power[:, 0], np.finfo(np.float32).tiny))
    return unmask(np.where(power[:, 0] > 0, np.minimum(ratio, 1), 0).astype(np.float32), image.mask)
