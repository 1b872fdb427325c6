"""Known effects of disease and age: changes of FA and MD that are put into a scan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy import ndimage
from scipy.spatial import KDTree

from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tensor_changes import MapChange
from bids_shresnet.scans import Tissue

MAX_LABEL_DISTANCE = 0.6  # voxels between a voxel of the source and a matched voxel of the target
MIN_TRACT_FA = 0.3
TRACT_SIGMA_VOXELS = 1.0
MIN_TRACT_SHARE = 0.5  # of the voxels around one that run along the tract
MIN_TRACT_COSINE = 0.8  # of the principal direction with the axis from left to right
TRACT_FA_FACTOR = 0.95  # about what group studies of white matter find
WHITE_MATTER_MD_FACTOR = 1.03
AGE_FA_FACTOR = 0.90  # at the top of the brain; 1 at its bottom
AGE_MD_FACTOR = 1.05
OEDEMA_RADIUS_MM = 10.0
OEDEMA_FA_FACTOR = 0.7
OEDEMA_MD_FACTOR = 1.4


@dataclass(frozen=True)
class ScanAnatomy:
    """Where a scan has which tissue, and its tensors.

    Attributes
    ----------
    tissue
        Values of `Tissue` in grey and white matter, 0 elsewhere.
    fa, direction
        FA and principal direction (world axes) of the scan as measured.
    affine
        Voxel indices to RAS+ mm.
    """

    tissue: Integer[np.ndarray, "x y z"]
    fa: Float[np.ndarray, "x y z"]
    direction: Float[np.ndarray, "x y z 3"]
    affine: Float[np.ndarray, "4 4"]

    @property
    def is_white(self) -> Bool[np.ndarray, "x y z"]:
        """White matter."""
        return np.asarray(self.tissue == Tissue.WM)


@dataclass(frozen=True)
class KnownEffect:
    """An effect that is put into a scan.

    Attributes
    ----------
    name, title
        Its name in tables, and what it is, for readers.
    quantities
        What it changes, of "FA" and "MD".
    make_change
        Makes the change of a scan.
    """

    name: str
    title: str
    quantities: tuple[str, ...]
    make_change: Callable[[ScanAnatomy], MapChange]


def label_voxels(
    points: Float[np.ndarray, "p 3"],
    tissue: Integer[np.ndarray, " p"],
    mask: Bool[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
) -> Integer[np.ndarray, "x y z"]:
    """Label the voxels of a scan's mask with the tissue of the nearest point (RAS+ mm).

    A voxel is 0 if that point is further away than `MAX_LABEL_DISTANCE` times the voxel size.
    """
    limit = MAX_LABEL_DISTANCE * float(nib.affines.voxel_sizes(affine).mean())
    centres = nib.affines.apply_affine(affine, np.argwhere(mask))
    _, nearest = KDTree(points).query(centres, distance_upper_bound=limit)
    labels = np.append(tissue, 0)[nearest]  # the query returns the length if there is none
    return unmask(labels, mask)


def lower_tract_fa(anatomy: ScanAnatomy) -> MapChange:
    """FA 5 % lower in the largest connected part of white matter that runs from left to right.

    Holes and frays of a voxel's width come from noise and are no part of a tract.
    """
    is_sideways = np.abs(anatomy.direction[..., 0]) > MIN_TRACT_COSINE
    voxels = anatomy.is_white & is_sideways & (anatomy.fa > MIN_TRACT_FA)
    share = ndimage.gaussian_filter(voxels.astype(np.float64), TRACT_SIGMA_VOXELS)
    candidates = share > MIN_TRACT_SHARE
    labels, count = ndimage.label(candidates)
    tract = labels == np.bincount(labels[candidates]).argmax() if count else candidates
    return _change_region(tract, fa_factor=TRACT_FA_FACTOR)


def raise_white_matter_md(anatomy: ScanAnatomy) -> MapChange:
    """MD 3 % higher in white matter."""
    return _change_region(anatomy.is_white, md_factor=WHITE_MATTER_MD_FACTOR)


def age_brain(anatomy: ScanAnatomy) -> MapChange:
    """FA lower and MD higher, the more the higher up in the head."""
    matter = anatomy.tissue > 0
    indices = np.moveaxis(np.indices(matter.shape), 0, -1)
    heights = nib.affines.apply_affine(anatomy.affine, indices)[..., 2]
    lowest = heights[matter].min(initial=np.inf)
    highest = heights[matter].max(initial=-np.inf)
    height = np.clip((heights - lowest) / max(highest - lowest, 1.0), 0, 1)
    return MapChange(
        fa_factor=1 + (AGE_FA_FACTOR - 1) * height,
        md_factor=1 + (AGE_MD_FACTOR - 1) * height,
    )


def add_oedema(anatomy: ScanAnatomy) -> MapChange:
    """MD much higher and FA lower in a ball about the white-matter voxel furthest from its edge."""
    spacing = nib.affines.voxel_sizes(anatomy.affine)
    depth = ndimage.distance_transform_edt(anatomy.is_white, sampling=spacing)
    centre = np.unravel_index(int(np.argmax(depth)), depth.shape)
    from_centre = np.ones(depth.shape)
    from_centre[centre] = 0
    distance = ndimage.distance_transform_edt(from_centre, sampling=spacing)
    ball = (distance <= OEDEMA_RADIUS_MM) & anatomy.is_white.any()
    return _change_region(ball, fa_factor=OEDEMA_FA_FACTOR, md_factor=OEDEMA_MD_FACTOR)


def _change_region(
    region: Bool[np.ndarray, "x y z"], *, fa_factor: float = 1.0, md_factor: float = 1.0
) -> MapChange:
    return MapChange(np.where(region, fa_factor, 1.0), np.where(region, md_factor, 1.0))


KNOWN_EFFECTS = (
    KnownEffect("tract", "FA 5 % lower in a tract", ("FA",), lower_tract_fa),
    KnownEffect("white_matter", "MD 3 % higher in white matter", ("MD",), raise_white_matter_md),
    KnownEffect("age", "FA up to 10 % lower, MD up to 5 % higher", ("FA", "MD"), age_brain),
    KnownEffect("oedema", "oedema: FA 30 % lower, MD 40 % higher", ("FA", "MD"), add_oedema),
)
