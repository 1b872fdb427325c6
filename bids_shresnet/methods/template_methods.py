"""The methods that need a template: one is built in a fold, and LinearRISH and voxel-wise ComBat are fitted in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.representation import unmask
from bids_shresnet.diffusion.sampling import sample_image
from bids_shresnet.diffusion.template import build_template
from bids_shresnet.methods.combat import ScalarSamples, VoxelwiseCombat, fit_voxelwise_combat
from bids_shresnet.methods.harmonizer import Arrays, FitResult, FitTask
from bids_shresnet.methods.linear_rish import LinearRish, fit_linear_rish
from bids_shresnet.pairs import TravellingSubject
from bids_shresnet.scans import ShImage

COMBAT_MAPS = ("FA", "MD")  # what ComBat harmonizes, in the order of `Unharmonized`


@dataclass(frozen=True)
class TemplateMethods:
    """LinearRISH, and what ComBat does to FA and MD in the same template."""

    rish: LinearRish
    combat: Mapping[str, Float[np.ndarray, "x y z 2"]]

    def predict(self, image: ShImage) -> Float[np.ndarray, "v c"]:
        """By LinearRISH."""
        return self.rish.predict(image)

    def predict_with_combat(
        self, subject: TravellingSubject
    ) -> tuple[Float[np.ndarray, "v c"], dict[str, Float[np.ndarray, " p"]]]:
        """A held-out subject, with one registration: LinearRISH's coefficients, ComBat's maps at the matched points."""
        template, places = self.rish.template, self.rish.template.locate_subject(subject)
        image, measured = subject.source, subject.unharmonized.source_maps
        maps = {}
        for name, lines in self.combat.items():
            values = measured[image.mask][:, COMBAT_MAPS.index(name)]
            corrected = VoxelwiseCombat(template, lines).remove(values, places.brain)
            maps[name] = sample_image(
                unmask(corrected[:, None], image.mask), image.affine, subject.matched.points
            )[:, 0]
        return self.rish.predict_at_positions(image, places.brain), maps

    def arrays(self) -> Arrays:
        """Gains, lines and template."""
        return {
            **self.rish.arrays(),
            **{f"combat_{name}": lines for name, lines in self.combat.items()},
        }

    def record(self) -> dict[str, Any]:
        """Nothing is chosen."""
        return {}


def fit_template_methods(task: FitTask) -> FitResult:
    """Build the template and fit both in it."""
    template = build_template([subject.source for subject in task.training])
    places = [template.locate_subject(subject) for subject in task.training]
    rish = fit_linear_rish(template, task.training, places)
    combat = {}
    for column, name in enumerate(COMBAT_MAPS):
        both = list(zip(places, task.training, strict=True))
        source = [
            ScalarSamples(at.brain, s.unharmonized.source_maps[s.source.mask][:, column])
            for at, s in both
        ]
        target = [
            ScalarSamples(at.matched, s.unharmonized.target_maps[:, column]) for at, s in both
        ]
        if len(both) > 1:  # from one subject nobody can tell a scanner's scale
            combat[name] = fit_voxelwise_combat(template, source, target).slope_intercept
    return FitResult(TemplateMethods(rish, combat))


def load_template_methods(
    arrays: Arrays, _: Mapping[str, Any], device: str = "cpu"
) -> TemplateMethods:
    """From `arrays`."""
    combat = {name: arrays[f"combat_{name}"] for name in COMBAT_MAPS if f"combat_{name}" in arrays}
    return TemplateMethods(LinearRish.from_arrays(arrays), combat)
