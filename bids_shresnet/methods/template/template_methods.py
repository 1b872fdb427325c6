"""Methods in a template, which is built for every fold: LinearRISH and voxel-wise ComBat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.spatial.interpolation import sample_inside
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.spatial.template import Template, TemplatePositions, build_template
from bids_shresnet.methods.harmonizer import Arrays, FitResult, FitTask
from bids_shresnet.methods.template.combat import (
    ScalarSamples,
    VoxelwiseCombat,
    fit_voxelwise_combat,
)
from bids_shresnet.methods.template.known_positions import locate_once
from bids_shresnet.methods.template.linear_rish import LinearRish, fit_linear_rish
from bids_shresnet.pairs import TravellingSubject
from bids_shresnet.scans import ShImage

COMBAT_MAPS = ("FA", "MD")  # in the order of `UnharmonizedData.source_maps`


@dataclass(frozen=True)
class TemplateMethods:
    """LinearRISH, and ComBat's (slope, intercept) for FA and MD, in the same template."""

    rish: LinearRish
    combat: Mapping[str, Float[np.ndarray, "x y z 2"]]

    def predict(self, image: ShImage) -> Float[np.ndarray, "v c"]:
        """Predict the voxels of the mask with LinearRISH."""
        return self.rish.predict(image)

    def predict_with_combat(
        self, subject: TravellingSubject
    ) -> tuple[Float[np.ndarray, "v c"], dict[str, Float[np.ndarray, " p"]]]:
        """Predict a held-out subject with both methods and one registration.

        Returns
        -------
        LinearRISH's coefficients in the mask, and ComBat's maps at the matched points.
        """
        positions = self.rish.template.locate_subject(subject)
        coefficients = self.rish.predict_at_positions(subject.source, positions.brain)
        maps = {name: self._harmonize_map(name, subject, positions.brain) for name in self.combat}
        return coefficients, maps

    def _harmonize_map(
        self, name: str, subject: TravellingSubject, positions: Float[np.ndarray, "v 3"]
    ) -> Float[np.ndarray, " p"]:
        """Harmonize a map on the source's grid, then sample it at the matched points."""
        image = subject.source
        combat = VoxelwiseCombat(self.rish.template, self.combat[name])
        values = combat.remove(_source_map(subject, name), positions)
        volume = unmask(values[:, None], image.mask)
        return sample_inside(volume, image.mask, image.affine, subject.matched.points)[:, 0]

    def arrays(self) -> Arrays:
        """Return the gains, the lines and the template."""
        lines = {f"combat_{name}": line for name, line in self.combat.items()}
        return {**self.rish.arrays(), **lines}

    def record(self) -> dict[str, Any]:
        """Return nothing: there are no settings."""
        return {}


def fit_template_methods(task: FitTask) -> FitResult[TemplateMethods]:
    """Build the template and fit both methods in it.

    ComBat needs two subjects: one does not show a scanner's scale.
    """
    images = [subject.source for subject in task.training]
    folder = task.registrations
    locate = Template.locate if folder is None else partial(locate_once, folder)
    template = build_template(images, locate)
    positions = [template.locate_subject(subject) for subject in task.training]
    rish = fit_linear_rish(template, task.training, positions)
    combat = {}
    if len(task.training) > 1:
        for name in COMBAT_MAPS:
            combat[name] = _fit_combat(name, template, task.training, positions)
    return FitResult(TemplateMethods(rish, combat))


def load_template_methods(
    arrays: Arrays, _: Mapping[str, Any], device: str = "cpu"
) -> TemplateMethods:
    """Load both methods from their arrays."""
    combat = {name: arrays[f"combat_{name}"] for name in COMBAT_MAPS if f"combat_{name}" in arrays}
    return TemplateMethods(LinearRish.from_arrays(arrays), combat)


def _fit_combat(
    name: str,
    template: Template,
    subjects: Sequence[TravellingSubject],
    positions: Sequence[TemplatePositions],
) -> Float[np.ndarray, "x y z 2"]:
    """Fit ComBat to a map of all subjects."""
    column = COMBAT_MAPS.index(name)
    source = []
    target = []
    for subject, position in zip(subjects, positions, strict=True):
        source.append(ScalarSamples(position.brain, _source_map(subject, name)))
        values = subject.unharmonized.target_maps[:, column]
        target.append(ScalarSamples(position.matched, values))
    return fit_voxelwise_combat(template, source, target).slope_intercept


def _source_map(subject: TravellingSubject, name: str) -> Float[np.ndarray, " v"]:
    """Values of a source map in the mask."""
    maps = subject.unharmonized.source_maps[subject.source.mask]
    return np.asarray(maps[:, COMBAT_MAPS.index(name)])
