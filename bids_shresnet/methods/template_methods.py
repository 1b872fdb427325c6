"""The methods that need a template: one is built in a fold, and LinearRISH and voxel-wise ComBat are fitted in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.representation import in_mask
from bids_shresnet.diffusion.sampling import sample
from bids_shresnet.diffusion.template import build_template
from bids_shresnet.methods.combat import Measured, VoxelwiseCombat, fit_voxelwise
from bids_shresnet.methods.harmonizer import Arrays, Fitted, Lesson
from bids_shresnet.methods.linear_rish import LinearRish, fit
from bids_shresnet.pairs import Travelling
from bids_shresnet.scans import ShImage

MAPS = ("FA", "MD")  # what ComBat harmonizes, in the order of `Unharmonized`


@dataclass(frozen=True)
class InTemplate:
    """LinearRISH, and what ComBat does to FA and MD in the same template."""

    rish: LinearRish
    combat: Mapping[str, Float[np.ndarray, "x y z 2"]]

    def predict(self, image: ShImage) -> Float[np.ndarray, "v c"]:
        """By LinearRISH."""
        return self.rish.predict(image)

    def predict_both(self, subject: Travelling) -> tuple[Float[np.ndarray, "v c"], dict[str, Float[np.ndarray, " p"]]]:
        """A held-out subject, with one registration: LinearRISH's coefficients, ComBat's maps at the matched points."""
        template, places = self.rish.template, self.rish.template.place(subject)
        image, measured = subject.source, subject.unharmonized.maps
        maps = {}
        for name, lines in self.combat.items():
            values = measured[image.mask][:, MAPS.index(name)]
            corrected = VoxelwiseCombat(template, lines).remove(values, places.brain)
            maps[name] = sample(in_mask(corrected[:, None], image.mask), image.affine, subject.matched.points)[:, 0]
        return self.rish.predict_at(image, places.brain), maps

    def arrays(self) -> Arrays:
        """Gains, lines and template."""
        return {**self.rish.arrays(), **{f"combat_{name}": lines for name, lines in self.combat.items()}}

    def record(self) -> dict[str, Any]:
        """Nothing is chosen."""
        return {}


def fit_in_template(lesson: Lesson) -> Fitted:
    """Build the template and fit both in it."""
    template = build_template([subject.source for subject in lesson.training])
    places = [template.place(subject) for subject in lesson.training]
    rish = fit(template, lesson.training, places)
    combat = {}
    for column, name in enumerate(MAPS):
        both = list(zip(places, lesson.training, strict=True))
        source = [Measured(at.brain, s.unharmonized.maps[s.source.mask][:, column]) for at, s in both]
        target = [Measured(at.matched, s.unharmonized.target[:, column]) for at, s in both]
        if len(both) > 1:  # from one subject nobody can tell a scanner's scale
            combat[name] = fit_voxelwise(template, source, target).lines
    return Fitted(InTemplate(rish, combat))


def load_in_template(arrays: Arrays, _: Mapping[str, Any], device: str = "cpu") -> InTemplate:
    """From `arrays`."""
    combat = {name: arrays[f"combat_{name}"] for name in MAPS if f"combat_{name}" in arrays}
    return InTemplate(LinearRish.from_arrays(arrays), combat)
