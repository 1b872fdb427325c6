"""Where each point of one head lies in another scan of it, or in another head: ANTs, linear then SyN, the same always.

The only file that knows ANTs and ITK's LPS axes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import ants
import numpy as np
import pandas as pd
from jaxtyping import Float

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])  # ITK's world axes in RAS
ANTS_SEED = 1
SYN_METRIC, SYN_HISTOGRAM_BINS = (
    "MI",
    32,
)  # Mattes mutual information; local correlation is 10 % closer and takes five times as long
SYN_ITERATIONS = (40, 20, 0)  # of SyN at a quarter, half and all of the resolution


@dataclass(frozen=True)
class Correspondence:
    """Points of the fixed scan, found in the moving scan.

    Attributes
    ----------
    points
        World position (RAS+ mm) in the moving scan of each point that was asked for, (point, 3).
    rotation
        How the head is turned from the fixed to the moving scan: a direction g there is R g here. After an affine
        stage the linear part of it, which also stretches.
    """

    points: Float[np.ndarray, "p 3"]
    rotation: Float[np.ndarray, "3 3"]


def register_images(
    fixed: Sequence[Float[np.ndarray, "x y z"]],
    fixed_affine: Float[np.ndarray, "4 4"],
    moving: Sequence[Float[np.ndarray, "u v w"]],
    moving_affine: Float[np.ndarray, "4 4"],
    points: Float[np.ndarray, "p 3"],
    *,
    linear_type: Literal["Rigid", "Affine"] = "Rigid",
    is_deformable: bool = True,
    iterations: tuple[int, int, int] = SYN_ITERATIONS,
) -> Correspondence:
    """Register two scans on one or more contrasts and carry points from the fixed to the moving one.

    Parameters
    ----------
    fixed, moving
        Images of the same contrasts in the same order; the first drives the linear stage, all drive SyN.
    fixed_affine, moving_affine
        Voxel indices to RAS+ mm.
    points
        World positions in the fixed scan (RAS+ mm).
    linear_type
        "Rigid" for two scans of one head, "Affine" for two heads.
    is_deformable
        Whether SyN follows the linear stage (what is left of EPI distortion differs between scanners).
    iterations
        Of SyN, from coarse to fine.
    """
    ants.config.set_ants_deterministic(on=True, seed_value=ANTS_SEED)
    targets = [_to_ants(image, fixed_affine) for image in fixed]
    movers = [_to_ants(image, moving_affine) for image in moving]
    with tempfile.TemporaryDirectory() as folder:
        placed = ants.registration(
            targets[0], movers[0], type_of_transform=linear_type, outprefix=f"{folder}/linear_"
        )
        transforms = placed["fwdtransforms"]
        rotation = _read_rotation(Path(transforms[0]))
        if is_deformable:
            extras = [
                [SYN_METRIC, target, mover, 1, SYN_HISTOGRAM_BINS]
                for target, mover in zip(targets[1:], movers[1:], strict=True)
            ]
            warped = ants.registration(
                targets[0],
                movers[0],
                type_of_transform="SyNOnly",
                initial_transform=transforms[0],
                multivariate_extras=extras or None,
                syn_metric=SYN_METRIC,
                syn_sampling=SYN_HISTOGRAM_BINS,
                reg_iterations=iterations,
                outprefix=f"{folder}/syn_",
            )
            transforms = warped["fwdtransforms"]
        found = _transform_points(points, transforms)
    return Correspondence(found, rotation)


def _transform_points(
    points: Float[np.ndarray, "p 3"], transforms: Sequence[str]
) -> Float[np.ndarray, "p 3"]:
    """Points from fixed to moving: the same direction in which ITK looks intensities up."""
    table = pd.DataFrame(points @ RAS_TO_LPS, columns=["x", "y", "z"])
    carried = ants.apply_transforms_to_points(
        3, table, list(transforms), whichtoinvert=[False] * len(transforms)
    )
    return np.asarray(carried[["x", "y", "z"]].to_numpy() @ RAS_TO_LPS, dtype=np.float64)


def _read_rotation(transform: Path) -> Float[np.ndarray, "3 3"]:
    """The rotation from fixed to moving in RAS axes."""
    matrix = np.asarray(
        ants.read_transform(str(transform)).parameters[:9], dtype=np.float64
    ).reshape(3, 3)
    return np.asarray(RAS_TO_LPS @ matrix @ RAS_TO_LPS)


def _to_ants(image: Float[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"]) -> ants.ANTsImage:
    """An ITK image: the same voxels, world axes turned from RAS to LPS."""
    lps = RAS_TO_LPS @ affine[:3, :3]
    spacing = np.linalg.norm(lps, axis=0)
    return ants.from_numpy(
        np.ascontiguousarray(image, dtype=np.float32),
        origin=(RAS_TO_LPS @ affine[:3, 3]).tolist(),
        spacing=spacing.tolist(),
        direction=lps / spacing,
    )
