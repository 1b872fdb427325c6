"""The diffusion tensor by weighted least squares, in closed form for many voxels at a time.

The estimate is DIPY's `TensorModel(fit_method="WLS")`, which a test compares. DIPY inverts the
design of each voxel by a singular-value decomposition; the normal equations of 7 unknowns take a
tenth of the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

MIN_SIGNAL = 1e-4  # DIPY's, so that the logarithm exists
MIN_ATTENUATION = 1e-6  # DIPY's, of the smallest eigenvalue at the highest b
# Of the mean diagonal of the normal equations. It decides where a voxel or a scheme determines no
# tensor, and changes none that is determined.
RIDGE = 1e-13
VOXELS_PER_CHUNK = 2048  # whose arrays stay in the cache of a core
UNKNOWNS = 7  # the six elements of a tensor, and log S0
TENSOR_ELEMENTS = ((0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2))


@dataclass(frozen=True)
class TensorFit:
    """Tensors in mm2/s, none of whose eigenvalues is below `MIN_ATTENUATION` over the highest b."""

    matrices: Float[np.ndarray, "v 3 3"]

    @property
    def fa(self) -> Float[np.ndarray, " v"]:
        """Fractional anisotropy."""
        return compute_fa(self.matrices)

    @property
    def md(self) -> Float[np.ndarray, " v"]:
        """Mean diffusivity, mm2/s."""
        return np.asarray(np.trace(self.matrices, axis1=1, axis2=2) / 3)

    @property
    def directions(self) -> Float[np.ndarray, "v 3"]:
        """Unit vectors along the largest diffusivity."""
        return np.asarray(np.linalg.eigh(self.matrices)[1][:, :, -1])


def compute_fa(tensors: Float[np.ndarray, "v 3 3"]) -> Float[np.ndarray, " v"]:
    """Compute FA from the norm of a tensor and of its deviation from a sphere; 0 for no tensor."""
    mean = np.trace(tensors, axis1=1, axis2=2) / 3
    deviations = tensors - mean[:, None, None] * np.eye(3)
    squared_norm = np.maximum(np.square(tensors).sum(axis=(1, 2)), np.finfo(np.float64).tiny)
    return np.asarray(np.sqrt(1.5 * np.square(deviations).sum(axis=(1, 2)) / squared_norm))


def fit_weighted_tensors(
    signal: Float[np.ndarray, "v n"],
    bvals: Float[np.ndarray, " n"],
    bvecs: Float[np.ndarray, "n 3"],
) -> TensorFit:
    """Fit finite signals; each volume weighs as its signal, from a first fit without weights.

    The estimate is that of Chung et al. 2006 (doi 10.1016/j.neuroimage.2006.07.001).

    Parameters
    ----------
    bvals
        s/mm2, not all zero.
    bvecs
        Unit vectors along the world axes.
    """
    highest = float(bvals.max())
    design = _make_design(bvals / highest, bvecs)
    starts = range(0, len(signal), VOXELS_PER_CHUNK)
    chunks = [_fit_tensors(signal[start : start + VOXELS_PER_CHUNK], design) for start in starts]
    return TensorFit(np.concatenate([np.empty((0, 3, 3)), *chunks]) / highest)


def _raise_eigenvalues(tensors: Float[np.ndarray, "v 3 3"]) -> Float[np.ndarray, "v 3 3"]:
    """Raise eigenvalues below `MIN_ATTENUATION` to it in place, in the few tensors with any."""
    lowest = MIN_ATTENUATION * np.eye(3)
    above = tensors - lowest
    is_low = ~_is_positive_definite(above)
    eigenvalues, eigenvectors = np.linalg.eigh(above[is_low])
    scaled = eigenvectors * np.maximum(eigenvalues, 0)[:, None, :]
    tensors[is_low] = lowest + scaled @ eigenvectors.swapaxes(1, 2)
    return tensors


def _is_positive_definite(matrices: Float[np.ndarray, "v 3 3"]) -> Bool[np.ndarray, " v"]:
    """Check Sylvester's criterion: the leading minors of a symmetric matrix are positive."""
    xx, xy, xz = matrices[:, 0].T
    _, yy, yz = matrices[:, 1].T
    zz = matrices[:, 2, 2]
    minor = xx * yy - xy * xy
    determinant = zz * minor - xx * yz * yz - yy * xz * xz + 2 * xy * xz * yz
    return np.asarray((xx > 0) & (minor > 0) & (determinant > 0))


def _make_design(
    relative_bvals: Float[np.ndarray, " n"], bvecs: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, "n 7"]:
    """Return what the logarithm of the signal is linear in: `TENSOR_ELEMENTS`, and log S0."""
    columns = [
        -relative_bvals * bvecs[:, i] * bvecs[:, j] * (1 if i == j else 2)
        for i, j in TENSOR_ELEMENTS
    ]
    return np.stack([*columns, np.ones(len(bvecs))], axis=1)


def _fit_tensors(
    signal: Float[np.ndarray, "v n"], design: Float[np.ndarray, "n 7"]
) -> Float[np.ndarray, "v 3 3"]:
    """Solve the normal equations of each voxel; b, and so the tensor, is relative."""
    logarithms = np.log(np.maximum(signal.astype(np.float64), MIN_SIGNAL))
    weights = np.exp(2 * (logarithms @ (np.linalg.pinv(design).T @ design.T)))
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    normal = products.T @ weights.T  # voxels last, so that all are solved at once
    normal[:: UNKNOWNS + 1] += RIDGE / UNKNOWNS * normal[:: UNKNOWNS + 1].sum(axis=0)
    solution = _solve(normal.reshape(UNKNOWNS, UNKNOWNS, -1), design.T @ (weights * logarithms).T)
    tensors = np.empty((len(signal), 3, 3))
    for row, (i, j) in zip(solution, TENSOR_ELEMENTS, strict=False):
        tensors[:, i, j] = tensors[:, j, i] = row
    return _raise_eigenvalues(tensors)


def _solve(
    matrices: Float[np.ndarray, "m m v"], values: Float[np.ndarray, "m v"]
) -> Float[np.ndarray, "m v"]:
    """Solve systems by elimination, which needs no pivots where matrices are positive definite."""
    system = np.concatenate([matrices, values[:, None]], axis=1)
    count = len(system)
    for k in range(count):
        system[k, k + 1 :] /= system[k, k]
        system[k + 1 :, k + 1 :] -= system[k + 1 :, k, None] * system[k, k + 1 :]
    solution: Float[np.ndarray, "m v"] = system[:, count]
    for k in reversed(range(count - 1)):
        solution[k] -= (system[k, k + 1 : count] * solution[k + 1 :]).sum(axis=0)
    return solution
