"""A space that several heads share: the mean of their contrasts, and where each point of a head lies in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.registration import register_images
from bids_shresnet.diffusion.representation import anisotropy
from bids_shresnet.diffusion.splatting import (
    SplattedValues,
    interpolate_grid,
    splat_values,
    to_voxels,
)
from bids_shresnet.pairs import TravellingSubject
from bids_shresnet.scans import ShImage

TEMPLATE_SYN_ITERATIONS = (
    40,
    10,
    0,
)  # SyN at full resolution as well takes three times as long and gives linear RISH 1 % more


@dataclass(frozen=True)
class TemplatePositions:
    """Where points of a travelling subject lie in a template's world.

    Attributes
    ----------
    brain
        Voxels of the source scan's mask, in order of `np.argwhere`.
    matched
        `Matched.points`, where the target's voxels are.
    """

    brain: Float[np.ndarray, "v 3"]
    matched: Float[np.ndarray, "p 3"]


@dataclass(frozen=True)
class Template:
    """Mean contrasts of a group of heads.

    Attributes
    ----------
    contrasts
        Those of `registration_contrasts`, in its order; zero where no head was.
    affine
        Voxel indices to mm in the template's world.
    """

    contrasts: Float[np.ndarray, "x y z k"]
    affine: Float[np.ndarray, "4 4"]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the grid."""
        x, y, z, _ = self.contrasts.shape
        return x, y, z

    def locate(self, image: ShImage, points: Float[np.ndarray, "p 3"]) -> Float[np.ndarray, "p 3"]:
        """Where points of a scan (RAS+ mm) lie in the template's world: one registration."""
        contrasts = np.moveaxis(self.contrasts, -1, 0)
        found = register_images(
            registration_contrasts(image),
            image.affine,
            list(contrasts),
            self.affine,
            points,
            linear_type="Affine",
            iterations=TEMPLATE_SYN_ITERATIONS,
        )
        return found.points

    def locate_subject(self, subject: TravellingSubject) -> TemplatePositions:
        """Where a travelling subject lies: one registration for all its points."""
        brain = brain_points(subject.source)
        places = self.locate(
            subject.source, np.concatenate([brain, subject.matched.points]).astype(np.float64)
        )
        return TemplatePositions(places[: len(brain)], places[len(brain) :])

    def to_grid(
        self, positions: Float[np.ndarray, "p 3"], values: Float[np.ndarray, "p n"]
    ) -> SplattedValues:
        """Bring values of one head, known at places in the template's world, on the template's grid."""
        return splat_values(to_voxels(positions, self.affine), values, self.shape)

    def interpolate(
        self, grid: Float[np.ndarray, "x y z *n"], positions: Float[np.ndarray, "p 3"]
    ) -> Float[np.ndarray, "p *n"]:
        """Values of a map on the template's grid at places in its world."""
        return interpolate_grid(grid, to_voxels(positions, self.affine))

    def arrays(self) -> dict[str, np.ndarray]:
        """All that is to be stored."""
        return {"contrasts": self.contrasts, "affine": self.affine}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Template:
        """What `arrays` gave."""
        return cls(arrays["contrasts"], arrays["affine"])


def build_template(images: Sequence[ShImage]) -> Template:
    """Register all heads to one of them and average them there.

    That one is the head whose brain is of median volume, so that none is stretched much. The mean keeps its grid and
    its shape: unlike a template of ANTs it is not moved to the mean shape, because a place for every voxel is all that
    is asked of it. A second round, to the mean, doubles the time and changes nothing (linear RISH: 0.1 %).
    """
    first = _median_head(images)
    start = Template(np.stack(registration_contrasts(first), axis=-1), first.affine)
    heads = []
    for image in images:
        voxels = brain_points(image)
        places = voxels if image is first else start.locate(image, voxels)
        values = np.stack(
            [contrast[image.mask] for contrast in registration_contrasts(image)], axis=1
        )
        heads.append(start.to_grid(places, values))
    return Template(average_heads(heads).grid, start.affine)


def registration_contrasts(image: ShImage) -> list[Float[np.ndarray, "x y z"]]:
    """What all heads show alike: S0 (CSF bright), anisotropy (tracts), mean signal of the first shell (tissue)."""
    mean_signal = image.coefficients[..., 0] / np.float32(np.sqrt(4 * np.pi))
    return [np.exp(image.contrast) * image.mask, anisotropy(image), mean_signal]


def brain_points(image: ShImage) -> Float[np.ndarray, "v 3"]:
    """World positions of the mask's voxels, in order of `np.argwhere`."""
    return np.asarray(np.argwhere(image.mask) @ image.affine[:3, :3].T + image.affine[:3, 3])


def average_heads(heads: Sequence[SplattedValues]) -> SplattedValues:
    """In each voxel the mean over the heads that reached it."""
    count = np.sum([head.mask for head in heads], axis=0)
    total = np.sum([head.grid for head in heads], axis=0)  # zero where a head was not
    return SplattedValues(total / np.maximum(count, 1)[..., None].astype(np.float32), count > 0)


def _median_head(images: Sequence[ShImage]) -> ShImage:
    volumes = [image.mask.sum() * abs(np.linalg.det(image.affine[:3, :3])) for image in images]
    return images[int(np.argsort(volumes, kind="stable")[(len(images) - 1) // 2])]
