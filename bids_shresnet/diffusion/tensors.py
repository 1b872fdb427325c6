"""Fractional anisotropy, mean diffusivity and principal direction of the diffusion tensor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bids_shresnet.diffusion.attenuation import MIN_RELATIVE_SIGNAL
from bids_shresnet.diffusion.gradients import count_directions
from bids_shresnet.diffusion.shells import ShellVolumes, find_shells
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tensor_fit import TensorFit, fit_weighted_tensors
from bids_shresnet.scans import B0_THRESHOLD, Dwi

# s/mm2, mean of a shell: a nominal 1500 with the scatter of scanners. Beyond it the logarithm of
# the signal is no longer linear in b (kurtosis), and noise has a floor.
MAX_TENSOR_BVALUE = 1550.0
MIN_TENSOR_DIRECTIONS = 6  # a tensor has six components


@dataclass(frozen=True)
class TensorMaps:
    """FA (0 to 1) and MD (mm2/s), zero outside the mask, (x, y, z)."""

    fa: Float[np.ndarray, "x y z"]
    md: Float[np.ndarray, "x y z"]


@dataclass(frozen=True)
class TensorValues:
    """FA (0 to 1), MD (mm2/s) and the unit principal direction (world axes) of some voxels."""

    fa: Float[np.ndarray, " v"]
    md: Float[np.ndarray, " v"]
    direction: Float[np.ndarray, "v 3"]


def select_tensor_volumes(
    bvals: Float[np.ndarray, " n"], bvecs: Float[np.ndarray, "n 3"]
) -> Int[np.ndarray, " k"]:
    """Select the volumes that FA and MD of a scan rest on, in ascending order.

    They are those without weighting and the shells up to `MAX_TENSOR_BVALUE`, if one of these has
    `MIN_TENSOR_DIRECTIONS` directions; otherwise all volumes. Scanners with other high shells are
    compared by what they have in common, and without kurtosis.
    """
    low_shells = _low_shells(bvals)
    if not any(has_tensor_directions(shell, bvecs) for shell in low_shells):
        return np.arange(len(bvals))
    without_weighting = np.flatnonzero(bvals < B0_THRESHOLD)
    return np.sort(np.concatenate([without_weighting, *(shell.volumes for shell in low_shells)]))


def tensor_bvalues(
    bvals: Float[np.ndarray, " n"], bvecs: Float[np.ndarray, "n 3"]
) -> tuple[float, ...]:
    """Mean b-values of the shells that FA and MD of a scan rest on, s/mm2, ascending."""
    fitted = bvals[select_tensor_volumes(bvals, bvecs)]
    return tuple(shell.bvalue for shell in find_shells(fitted))


def fit_tensor_maps(
    dwi: Dwi, mask: Bool[np.ndarray, "x y z"], volumes: Int[np.ndarray, " k"] | None = None
) -> TensorMaps:
    """Fit the diffusion tensor by weighted least squares inside the mask.

    The volumes are those of `select_tensor_volumes`. `volumes` are the volumes to select from; by
    default all.
    """
    fa, md = fit_fa_and_md(*select_signal(dwi, mask, volumes))
    return TensorMaps(fa=unmask(fa, mask), md=unmask(md, mask))


def fit_dwi_tensor(
    dwi: Dwi, mask: Bool[np.ndarray, "x y z"], volumes: Int[np.ndarray, " k"] | None = None
) -> TensorValues:
    """Fit the voxels of a mask to the volumes of `select_tensor_volumes`.

    `volumes` are the volumes to select from; by default all.
    """
    return fit_tensor(*select_signal(dwi, mask, volumes))


def select_signal(
    dwi: Dwi, mask: Bool[np.ndarray, "x y z"], volumes: Int[np.ndarray, " k"] | None = None
) -> tuple[Float[np.ndarray, "v n"], Float[np.ndarray, " n"], Float[np.ndarray, "n 3"]]:
    """Signal of a mask in the volumes that a tensor rests on, their b-values and b-vectors.

    `volumes` are the volumes to select from; by default all.
    """
    candidates = np.arange(len(dwi.bvals)) if volumes is None else volumes
    selected = candidates[select_tensor_volumes(dwi.bvals[candidates], dwi.bvecs[candidates])]
    bvals = np.where(dwi.is_b0, 0, dwi.bvals)
    return dwi.data[mask][:, selected], bvals[selected], dwi.bvecs[selected]


def fit_relative_tensor(
    signal: Float[np.ndarray, "v d"],
    bvals: Float[np.ndarray, " d"],
    bvecs: Float[np.ndarray, "d 3"],
) -> TensorValues:
    """Fit S/S0 of weighted volumes, clipped to [0, 1], with an S0 of 1.

    The volumes are those of `select_tensor_volumes`.
    """
    selected = select_tensor_volumes(bvals, bvecs)
    relative = np.clip(signal[:, selected], 0, 1)
    with_s0 = np.concatenate([np.ones((len(signal), 1)), relative], axis=1)
    all_bvals = np.concatenate([[0.0], bvals[selected]])
    all_bvecs = np.concatenate([np.zeros((1, 3)), bvecs[selected]])
    return fit_tensor(with_s0, all_bvals, all_bvecs)


def fit_tensor(
    signal: Float[np.ndarray, "v n"],
    bvals: Float[np.ndarray, " n"],
    bvecs: Float[np.ndarray, "n 3"],
) -> TensorValues:
    """Fit the signal of each voxel to all volumes.

    Values that are not finite become 0 before and after. MD is at most that of a signal of
    `MIN_RELATIVE_SIGNAL` in every direction.
    """
    fit = fit_weighted_tensors(_replace_not_finite(signal), bvals, bvecs)
    return TensorValues(*_limit_fa_and_md(fit, bvals), fit.directions.astype(np.float32))


def fit_fa_and_md(
    signal: Float[np.ndarray, "v n"],
    bvals: Float[np.ndarray, " n"],
    bvecs: Float[np.ndarray, "n 3"],
) -> tuple[Float[np.ndarray, " v"], Float[np.ndarray, " v"]]:
    """Fit as `fit_tensor` without directions, which take as long as the fit itself."""
    return _limit_fa_and_md(fit_weighted_tensors(_replace_not_finite(signal), bvals, bvecs), bvals)


def _limit_fa_and_md(
    fit: TensorFit, bvals: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " v"], Float[np.ndarray, " v"]]:
    fa = _replace_not_finite(fit.fa).astype(np.float32)
    md = np.minimum(_replace_not_finite(fit.md), max_mean_diffusivity(bvals))
    return np.minimum(fa, 1), md.astype(np.float32)


def fit_tensor_matrices(
    signal: Float[np.ndarray, "v n"],
    bvals: Float[np.ndarray, " n"],
    bvecs: Float[np.ndarray, "n 3"],
) -> Float[np.ndarray, "v 3 3"]:
    """Fit as `fit_tensor` and return the tensors themselves, mm2/s along the world axes."""
    return fit_weighted_tensors(_replace_not_finite(signal), bvals, bvecs).matrices


def max_mean_diffusivity(bvals: Float[np.ndarray, " n"]) -> float:
    """MD of a signal that falls to `MIN_RELATIVE_SIGNAL` at the lowest b, mm2/s."""
    weighted = bvals[bvals >= B0_THRESHOLD]
    return float(-np.log(MIN_RELATIVE_SIGNAL) / weighted.min())


def _low_shells(bvals: Float[np.ndarray, " n"]) -> list[ShellVolumes]:
    return [shell for shell in find_shells(bvals) if shell.bvalue <= MAX_TENSOR_BVALUE]


def has_tensor_directions(shell: ShellVolumes, bvecs: Float[np.ndarray, "n 3"]) -> bool:
    """Whether a shell has enough directions for a tensor."""
    return count_directions(bvecs[shell.volumes]) >= MIN_TENSOR_DIRECTIONS


def _replace_not_finite(values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    # a single value that is not finite would stop the fit
    is_finite = np.isfinite(values)
    return values if is_finite.all() else np.where(is_finite, values, 0)
