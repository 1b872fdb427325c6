"""The phantom's heads: tissue, fibres and diffusivities at any point of a person's head.

An atlas gives tissue maps on a grid; a person is a smooth random deformation of it with diffusivities of their own.
Both are asked at points, so that no grid but the scanner's matters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from bids_shresnet.phantom.tracts import Points, tract_densities, tract_directions

SCALP_MM = (5.0, 11.0)  # inner and outer rim, from the brain's surface
NECK_Z_MM = -55.0  # the rim ends here: the atlas has no face and no neck
NORMAL_SIGMA_MM = 3.0  # about the thickness of the cortex
DISPERSED_SHARE = 0.12  # part of white matter whose fibres share no direction
AXIAL_DIFFUSIVITY, RADIAL_DIFFUSIVITY, GREY_DIFFUSIVITY = (
    1.6e-3,
    0.35e-3,
    0.85e-3,
)  # mm2/s in healthy adults: along fibres, across them, mean of the cortex
WAVE_COUNT = 24  # enough for a random field to look Gaussian


@dataclass(frozen=True)
class SmoothField:
    """A smooth random function of space: a sum of plane waves, so that it can be asked at any point.

    Attributes
    ----------
    waves
        Wave vectors in radians per mm, (wave, 3).
    phases
        Radians.
    amplitude
        Standard deviation of the values.
    """

    waves: Float[np.ndarray, "w 3"]
    phases: Float[np.ndarray, " w"]
    amplitude: float

    @classmethod
    def draw(cls, rng: np.random.Generator, amplitude: float, *, length_mm: float) -> SmoothField:
        """A field whose values are alike within about `length_mm`."""
        return cls(
            rng.standard_normal((WAVE_COUNT, 3)) / length_mm,
            rng.uniform(0, 2 * np.pi, WAVE_COUNT),
            amplitude,
        )

    def evaluate(self, points: Points) -> Float[np.ndarray, "..."]:
        """Values at points in mm."""
        angles = points.astype(np.float32) @ self.waves.T.astype(np.float32) + self.phases.astype(
            np.float32
        )
        return np.asarray(self.amplitude * np.sqrt(2 / WAVE_COUNT) * np.cos(angles).sum(axis=-1))


@dataclass(frozen=True)
class Atlas:
    """A standard head.

    Attributes
    ----------
    tissue
        Volume fractions of white matter, grey matter, CSF and scalp, (x, y, z, 4).
    normal
        Gradient from white matter out towards the cortex's surface, (x, y, z, 3).
    t1
        T1-weighted intensity, 1 at its brightest.
    affine
        Voxel indices to MNI mm.
    """

    tissue: Float[np.ndarray, "x y z 4"]
    normal: Float[np.ndarray, "x y z 3"]
    t1: Float[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]


@dataclass(frozen=True)
class Person:
    """How one head differs from the atlas.

    Attributes
    ----------
    displacement
        Towards right, anterior and superior, in mm.
    axial, radial, grey
        Relative deviation of white matter's two diffusivities and of grey matter's mean, in space.
    diffusivity_factors
        Factors on the three diffusivities in the whole head.
    """

    displacement: tuple[SmoothField, SmoothField, SmoothField]
    axial: SmoothField
    radial: SmoothField
    grey: SmoothField
    diffusivity_factors: tuple[float, float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Person:
        """A random person."""
        right, anterior, superior = (SmoothField.draw(rng, 2.5, length_mm=25.0) for _ in range(3))
        axial, radial, grey = (
            SmoothField.draw(rng, amplitude, length_mm=15.0) for amplitude in (0.05, 0.10, 0.05)
        )
        one, two, three = (1 + 0.05 * float(deviation) for deviation in rng.standard_normal(3))
        return cls((right, anterior, superior), axial, radial, grey, (one, two, three))


@dataclass(frozen=True)
class PhantomTissue:
    """What lies in each voxel of a grid.

    Attributes
    ----------
    fractions
        Of white matter, grey matter, CSF and scalp, (x, y, z, 4).
    fibres
        Unit vectors along the world axes of the commissural, projection and association fibres and of those that
        run to the cortex, (x, y, z, 4, 3); the last is also the normal of the cortex.
    fibre_fractions
        Part of the white matter that follows each, (x, y, z, 4); the rest is dispersed.
    diffusivities
        Along and across white-matter fibres and mean of grey matter in mm2/s, (x, y, z, 3).
    t1
        T1-weighted intensity.
    """

    fractions: Float[np.ndarray, "x y z 4"]
    fibres: Float[np.ndarray, "x y z 4 3"]
    fibre_fractions: Float[np.ndarray, "x y z 4"]
    diffusivities: Float[np.ndarray, "x y z 3"]
    t1: Float[np.ndarray, "x y z"]

    @property
    def brain_mask(self) -> Bool[np.ndarray, "x y z"]:
        """Voxels that are mostly brain or the fluid around it."""
        return np.asarray(self.fractions[..., :3].sum(axis=-1) > 0.5)

    @property
    def pure_labels(self) -> Float[np.ndarray, "x y z"]:
        """1 where at least 60 % is grey matter, 2 where it is white matter, else 0."""
        return np.select(
            [self.fractions[..., 1] > 0.6, self.fractions[..., 0] > 0.6], [1.0, 2.0], 0.0
        )


def build_atlas(
    t1: Float[np.ndarray, "x y z"],
    gm: Float[np.ndarray, "x y z"],
    wm: Float[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
) -> Atlas:
    """An atlas from a brain-only T1-weighted template and tissue probabilities (0 to 1) on one isotropic grid."""
    voxel_mm = float(affine[0, 0])
    brain = ndimage.binary_fill_holes(t1 > 0.05 * t1.max())
    # an average of many brains is blurred; squared probabilities have the sharper cortex of a single one
    squares = (
        np.square(np.stack([wm, gm, np.maximum(1 - wm - gm, 0.02)], axis=-1)) * brain[..., None]
    )
    tissue = squares / np.maximum(squares.sum(axis=-1, keepdims=True), 1e-6)
    outwards = ndimage.gaussian_filter(
        tissue[..., 2] + ~brain - tissue[..., 0], NORMAL_SIGMA_MM / voxel_mm
    )
    scalp = _scalp_mask(brain, affine, voxel_mm)
    return Atlas(
        tissue=np.concatenate([tissue, scalp[..., None]], axis=-1).astype(np.float32),
        normal=np.stack(np.gradient(outwards), axis=-1).astype(np.float32),
        t1=((t1 / t1.max()) ** 1.5 * brain + 0.6 * scalp).astype(np.float32),
        affine=affine,
    )


def sample_tissue(
    atlas: Atlas, person: Person, points: Points, rotation: Float[np.ndarray, "3 3"]
) -> PhantomTissue:
    """What lies at points of a person's head (mm), with the fibres turned into the world by the head's rotation."""
    home = points + np.stack([field.evaluate(points) for field in person.displacement], axis=-1)
    normal = _interpolate_maps(atlas.normal, atlas.affine, home)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    fibres = np.concatenate([tract_directions(home), normal[..., None, :]], axis=-2) @ rotation.T
    deviations = np.stack(
        [field.evaluate(points) for field in (person.axial, person.radial, person.grey)], axis=-1
    )
    return PhantomTissue(
        fractions=_interpolate_maps(atlas.tissue, atlas.affine, home),
        fibres=fibres.astype(np.float32),
        fibre_fractions=_fibre_fractions(home).astype(np.float32),
        diffusivities=(
            np.array([AXIAL_DIFFUSIVITY, RADIAL_DIFFUSIVITY, GREY_DIFFUSIVITY])
            * person.diffusivity_factors
            * (1 + deviations)
        ).astype(np.float32),
        t1=_interpolate_maps(atlas.t1[..., None], atlas.affine, home)[..., 0],
    )


def _fibre_fractions(points: Points) -> Float[np.ndarray, "... 4"]:
    """White matter shared out among the tracts; what they leave runs to the cortex."""
    tracts = tract_densities(points)
    rest = np.clip(1 - tracts.sum(axis=-1, keepdims=True), 0.1, 1)
    weights = np.square(
        np.concatenate([tracts, rest], axis=-1)
    )  # squared: one direction rules in most places
    return np.asarray((1 - DISPERSED_SHARE) * weights / weights.sum(axis=-1, keepdims=True))


def _scalp_mask(
    brain: Bool[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"], voxel_mm: float
) -> Bool[np.ndarray, "x y z"]:
    """A rim around the head, skull's width away from the brain."""
    margin = int(np.ceil(SCALP_MM[1] / voxel_mm))
    head = ndimage.binary_closing(np.pad(brain, margin), iterations=margin)[
        (slice(margin, -margin),) * 3
    ]
    distance = ndimage.distance_transform_edt(~head, sampling=voxel_mm)
    above_neck = affine[2, 3] + affine[2, 2] * np.arange(brain.shape[2]) > NECK_Z_MM
    return np.asarray((distance > SCALP_MM[0]) & (distance < SCALP_MM[1]) & above_neck)


def _interpolate_maps(
    maps: Float[np.ndarray, "x y z k"], affine: Float[np.ndarray, "4 4"], points: Points
) -> Float[np.ndarray, "... k"]:
    """Linear interpolation of maps at points in mm; zero outside."""
    voxels = np.moveaxis((points - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T, -1, 0)
    channels = np.moveaxis(maps, -1, 0)
    return np.stack(
        [ndimage.map_coordinates(channel, voxels, order=1) for channel in channels], axis=-1
    )
