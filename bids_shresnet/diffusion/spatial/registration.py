"""Registration of two scans with ANTs: linear, then SyN, always with the same result.

The only file that knows ANTs and ITK's LPS axes. ANTs takes two seconds to load and is loaded with
the first registration, because most runs of a trained model need none.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])  # ITK's world axes in RAS
ANTS_SEED = 1
# Mattes mutual information. Local correlation is 10 % more accurate and takes five times as long.
SYN_METRIC = "MI"
SYN_HISTOGRAM_BINS = 32
SYN_ITERATIONS = (40, 20, 0)  # at a quarter, half and all of the resolution


@dataclass(frozen=True)
class Correspondence:
    """Points of the fixed scan, found in the moving scan.

    Attributes
    ----------
    points
        World position (RAS+ mm) in the moving scan of each given point, (point, 3).
    rotation
        Rotation of the head from the fixed to the moving scan: a direction g in the fixed scan is
        R g in the moving one. After an affine stage it is the linear part, which also stretches.
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
    """Register two scans on one or more contrasts, and carry points from fixed to moving.

    Parameters
    ----------
    fixed, moving
        Images of the same contrasts in the same order. The first one drives the linear stage, all
        of them drive SyN.
    fixed_affine, moving_affine
        Voxel indices to RAS+ mm.
    points
        World positions in the fixed scan (RAS+ mm).
    linear_type
        "Rigid" for two scans of one head, "Affine" for two heads.
    is_deformable
        Whether SyN follows the linear stage: EPI distortion differs between scanners.
    iterations
        Iterations of SyN, from coarse to fine.
    """
    ants = _load_ants()
    fixed_images = [_to_ants(image, fixed_affine) for image in fixed]
    moving_images = [_to_ants(image, moving_affine) for image in moving]
    with tempfile.TemporaryDirectory() as folder:
        linear = ants.registration(
            fixed_images[0],
            moving_images[0],
            type_of_transform=linear_type,
            outprefix=f"{folder}/linear_",
        )
        transforms = linear["fwdtransforms"]
        rotation = _read_rotation(Path(transforms[0]))
        if is_deformable:
            transforms = _run_syn(
                fixed_images,
                moving_images,
                initial_transform=transforms[0],
                iterations=iterations,
                prefix=f"{folder}/syn_",
            )
        moving_points = _transform_points(points, transforms)
    return Correspondence(moving_points, rotation)


def _load_ants() -> Any:
    """Import ANTs, set to give the same result every time."""
    import ants

    ants.config.set_ants_deterministic(on=True, seed_value=ANTS_SEED)
    return ants


def _run_syn(
    fixed: Sequence[Any],
    moving: Sequence[Any],
    *,
    initial_transform: str,
    iterations: tuple[int, int, int],
    prefix: str,
) -> list[str]:
    """Run SyN on all contrasts and return the files of all transforms, the linear one included."""
    extra_contrasts = [
        [SYN_METRIC, fixed_image, moving_image, 1, SYN_HISTOGRAM_BINS]
        for fixed_image, moving_image in zip(fixed[1:], moving[1:], strict=True)
    ]
    result = _load_ants().registration(
        fixed[0],
        moving[0],
        type_of_transform="SyNOnly",
        initial_transform=initial_transform,
        multivariate_extras=extra_contrasts or None,
        syn_metric=SYN_METRIC,
        syn_sampling=SYN_HISTOGRAM_BINS,
        reg_iterations=iterations,
        outprefix=prefix,
    )
    return list(result["fwdtransforms"])


def _transform_points(
    points: Float[np.ndarray, "p 3"], transforms: Sequence[str]
) -> Float[np.ndarray, "p 3"]:
    """Carry points from fixed to moving, the direction in which ITK looks up intensities."""
    import pandas as pd  # half a second that only registrations need

    table = pd.DataFrame(points @ RAS_TO_LPS, columns=["x", "y", "z"])
    transformed = _load_ants().apply_transforms_to_points(
        3, table, list(transforms), whichtoinvert=[False] * len(transforms)
    )
    lps_points = transformed[["x", "y", "z"]].to_numpy()
    return np.asarray(lps_points @ RAS_TO_LPS, dtype=np.float64)


def _read_rotation(transform: Path) -> Float[np.ndarray, "3 3"]:
    """Read the linear part of a transform, from fixed to moving in RAS axes."""
    parameters = _load_ants().read_transform(str(transform)).parameters[:9]
    matrix = np.asarray(parameters, dtype=np.float64).reshape(3, 3)
    return np.asarray(RAS_TO_LPS @ matrix @ RAS_TO_LPS)


def _to_ants(image: Float[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"]) -> Any:
    """Return an ITK image of the same voxels, with world axes turned from RAS to LPS."""
    lps = RAS_TO_LPS @ affine[:3, :3]
    spacing = np.linalg.norm(lps, axis=0)
    return _load_ants().from_numpy(
        np.ascontiguousarray(image, dtype=np.float32),
        origin=(RAS_TO_LPS @ affine[:3, 3]).tolist(),
        spacing=spacing.tolist(),
        direction=lps / spacing,
    )
