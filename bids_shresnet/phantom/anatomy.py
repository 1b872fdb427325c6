"""The phantom's heads: tissue, fibres and diffusivities at any point of a person's head.

An atlas gives tissue maps on a grid. A person is a smooth random deformation of it with
diffusivities of their own. Both are evaluated at points, so that only the scanner's grid matters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from bids_shresnet.phantom.atlas import Atlas
from bids_shresnet.phantom.tracts import Points, tract_densities, tract_directions

DISPERSED_SHARE = 0.12  # part of white matter whose fibres share no direction
# mm2/s in healthy adults: along fibres, across them, mean of the cortex.
DIFFUSIVITIES = np.array([1.6e-3, 0.35e-3, 0.85e-3])
DISPLACEMENT_SIGMA_MM = 2.5
DISPLACEMENT_LENGTH_MM = 25.0
DIFFUSIVITY_LENGTH_MM = 15.0
HEAD_DIFFUSIVITY_SIGMA = 0.05  # relative, from head to head
MIN_CORTICAL_SHARE = 0.1  # part of the white matter whose fibres run to the cortex
MIN_PURE_FRACTION = 0.6
WAVE_COUNT = 24  # enough for a random field to look Gaussian


@dataclass(frozen=True)
class SmoothField:
    """A smooth random function of space: a sum of plane waves, so that it exists at any point.

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
        """Draw a field whose values are alike within about `length_mm`."""
        return cls(
            waves=rng.standard_normal((WAVE_COUNT, 3)) / length_mm,
            phases=rng.uniform(0, 2 * np.pi, WAVE_COUNT),
            amplitude=amplitude,
        )

    def evaluate(self, points: Points) -> Float[np.ndarray, "..."]:
        """Values at points in mm."""
        angles = points.astype(np.float32) @ self.waves.T.astype(np.float32)
        angles = angles + self.phases.astype(np.float32)
        return np.asarray(self.amplitude * np.sqrt(2 / WAVE_COUNT) * np.cos(angles).sum(axis=-1))


@dataclass(frozen=True)
class Person:
    """How one head differs from the atlas.

    Attributes
    ----------
    displacement
        Towards right, anterior and superior, in mm.
    axial, radial, grey
        Relative deviation in space of white matter's diffusivity along and across fibres, and of
        grey matter's mean diffusivity.
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
        """Draw a random person."""
        displacement = (_draw_displacement(rng), _draw_displacement(rng), _draw_displacement(rng))
        axial = SmoothField.draw(rng, 0.05, length_mm=DIFFUSIVITY_LENGTH_MM)
        radial = SmoothField.draw(rng, 0.10, length_mm=DIFFUSIVITY_LENGTH_MM)
        grey = SmoothField.draw(rng, 0.05, length_mm=DIFFUSIVITY_LENGTH_MM)
        factors = (1 + HEAD_DIFFUSIVITY_SIGMA * rng.standard_normal(3)).tolist()
        return cls(displacement, axial, radial, grey, (factors[0], factors[1], factors[2]))


def _draw_displacement(rng: np.random.Generator) -> SmoothField:
    return SmoothField.draw(rng, DISPLACEMENT_SIGMA_MM, length_mm=DISPLACEMENT_LENGTH_MM)


@dataclass(frozen=True)
class PhantomTissue:
    """Tissue in each voxel of a grid.

    Attributes
    ----------
    fractions
        Of white matter, grey matter, CSF and scalp, (x, y, z, 4).
    fibres
        Unit vectors along the world axes of the commissural, projection and association fibres and
        of those that run to the cortex, (x, y, z, 4, 3). The last is also the normal of the cortex.
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
        is_grey = self.fractions[..., 1] > MIN_PURE_FRACTION
        is_white = self.fractions[..., 0] > MIN_PURE_FRACTION
        return np.select([is_grey, is_white], [1.0, 2.0], 0.0)


def sample_tissue(
    atlas: Atlas, person: Person, points: Points, rotation: Float[np.ndarray, "3 3"]
) -> PhantomTissue:
    """Sample the tissue at points of a person's head.

    Parameters
    ----------
    points
        Positions in the head, mm.
    rotation
        From head to world; fibres are along the world axes.
    """
    displacement = np.stack([field.evaluate(points) for field in person.displacement], axis=-1)
    atlas_points = points + displacement
    normal = _interpolate_maps(atlas.normal, atlas.affine, atlas_points)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    head_fibres = np.concatenate([tract_directions(atlas_points), normal[..., None, :]], axis=-2)
    return PhantomTissue(
        fractions=_interpolate_maps(atlas.tissue, atlas.affine, atlas_points),
        fibres=(head_fibres @ rotation.T).astype(np.float32),
        fibre_fractions=_fibre_fractions(atlas_points).astype(np.float32),
        diffusivities=_diffusivities(person, points).astype(np.float32),
        t1=_interpolate_maps(atlas.t1[..., None], atlas.affine, atlas_points)[..., 0],
    )


def _diffusivities(person: Person, points: Points) -> Float[np.ndarray, "... 3"]:
    """Diffusivities along and across fibres and of grey matter, mm2/s."""
    fields = (person.axial, person.radial, person.grey)
    deviations = np.stack([field.evaluate(points) for field in fields], axis=-1)
    return np.asarray(DIFFUSIVITIES * person.diffusivity_factors * (1 + deviations))


def _fibre_fractions(points: Points) -> Float[np.ndarray, "... 4"]:
    """Share white matter out among the tracts; the rest runs to the cortex."""
    tracts = tract_densities(points)
    cortical = np.clip(1 - tracts.sum(axis=-1, keepdims=True), MIN_CORTICAL_SHARE, 1)
    # squared, so that one direction dominates in most places
    weights = np.square(np.concatenate([tracts, cortical], axis=-1))
    return np.asarray((1 - DISPERSED_SHARE) * weights / weights.sum(axis=-1, keepdims=True))


def _interpolate_maps(
    maps: Float[np.ndarray, "x y z k"], affine: Float[np.ndarray, "4 4"], points: Points
) -> Float[np.ndarray, "... k"]:
    """Interpolate maps linearly at points in mm; zero outside."""
    voxels = np.moveaxis((points - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T, -1, 0)
    channels = np.moveaxis(maps, -1, 0)
    values = [ndimage.map_coordinates(channel, voxels, order=1) for channel in channels]
    return np.stack(values, axis=-1)
