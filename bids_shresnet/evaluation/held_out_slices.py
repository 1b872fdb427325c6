"""Slices of FA and MD of held-out subjects: before harmonization, after it, and of the target.

They are small enough to be stored with a model, so that its page can show a head without the
scans. They lie on the grid of the source scan, whose matched voxels fill them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from nibabel.affines import voxel_sizes
from scipy.spatial import cKDTree

from bids_shresnet.diffusion.spatial.interpolation import world_to_voxels
from bids_shresnet.evaluation.agreement import SCAN_STATES
from bids_shresnet.evaluation.rish_power import TARGET_MEASUREMENT
from bids_shresnet.io.safetensors import read_arrays, read_record, serialize_arrays
from bids_shresnet.io.storage import write_bytes
from bids_shresnet.scans import ShImage

SLICE_STATES = (*SCAN_STATES, TARGET_MEASUREMENT)
SLICED_AXES: Mapping[str, int] = {"axial": 2, "coronal": 1, "sagittal": 0}
MAX_DISTANCE_VOXELS = 0.9  # between the centre of a voxel and the matched voxel that fills it
STORED_DTYPE = np.float16  # three digits are more than a colour shows


@dataclass(frozen=True)
class HeldOutSlices:
    """FA and MD (mm2/s) of one held-out subject in one slice of each plane.

    Attributes
    ----------
    subject
        Its label.
    planes
        By name of the plane: values by state (`SLICE_STATES`), quantity (`MAP_QUANTITIES`) and
        the two remaining axes of the grid, in their order. NaN where there is no matched voxel.
    spacing
        Size of the voxels along the three axes, mm.
    """

    subject: str
    planes: Mapping[str, Float[np.ndarray, "state quantity a b"]]
    spacing: tuple[float, float, float]


def cut_slices(
    subject: str,
    image: ShImage,
    points: Float[np.ndarray, "v 3"],
    maps: Float[np.ndarray, "v state quantity"],
) -> HeldOutSlices:
    """Fill the middle slice of each plane with the nearest matched voxels.

    Parameters
    ----------
    image
        The source scan.
    points
        Matched voxels in the source scan, RAS+ mm.
    maps
        FA and MD of the matched voxels in each state.
    """
    voxels = world_to_voxels(points, image.affine)
    tree = cKDTree(voxels)
    middle = np.rint(np.median(voxels, axis=0)).astype(int)
    planes = {}
    for plane, axis in SLICED_AXES.items():
        positions = _slice_positions(image.mask.shape, axis, int(middle[axis]))
        distances, nearest = tree.query(positions)
        values = maps[nearest].astype(STORED_DTYPE)
        values[distances > MAX_DISTANCE_VOXELS] = np.nan
        shape = np.delete(image.mask.shape, axis)
        planes[plane] = np.moveaxis(values.reshape(*shape, *maps.shape[1:]), (0, 1), (2, 3))
    x, y, z = map(float, voxel_sizes(image.affine))
    return HeldOutSlices(subject, planes, (x, y, z))


def write_slices(file: Path, slices: Sequence[HeldOutSlices]) -> None:
    """Write the slices of several subjects into one file."""
    arrays: dict[str, Float[np.ndarray, "state quantity a b"]] = {}
    for item in slices:
        arrays |= {f"{item.subject}/{plane}": values for plane, values in item.planes.items()}
    write_bytes(file, serialize_arrays(arrays, {item.subject: item.spacing for item in slices}))


def read_slices(file: Path) -> tuple[HeldOutSlices, ...]:
    """Read what `write_slices` wrote; nothing if there is no file."""
    if not file.exists():
        return ()
    arrays = read_arrays(file)
    slices = []
    for subject, (x, y, z) in read_record(file).items():
        planes = {plane: arrays[f"{subject}/{plane}"] for plane in SLICED_AXES}
        slices.append(HeldOutSlices(subject, planes, (x, y, z)))
    return tuple(slices)


def _slice_positions(shape: tuple[int, ...], axis: int, index: int) -> Int[np.ndarray, "p 3"]:
    """Voxels of a slice, in C order of its axes."""
    ranges = [np.arange(size) for size in shape]
    ranges[axis] = np.array([index])
    return np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
