"""Linear RISH harmonization, the established baseline: one gain per position, shell and order.

After dMRIharmonization (Mirzaalian et al. 2016; Cetin Karayumak et al. 2019,
doi 10.1016/j.neuroimage.2018.08.073) and its extension to several shells. There, RISH features of
both scanners' fits are computed in the scans' own grids and brought into a template. The gain of
every order, also of order 0, is sqrt(target / source). The template is registered to a new scan and
carries the gain to it: S'_l = gain_l S_l.

Differences from the original:

- The template is made of the source scans only. The target's voxels get their positions through the
  registration within a subject.
- The gain is a ratio of means over subjects, not a mean of ratios, which one dark voxel of one
  subject would dominate.
- Gains are limited to `GAIN_RANGE` instead of median-filtered at the skull.
- Values are smoothed only by bringing them into the template, as in the original. Smoothing by 0.8
  voxels more made nearly all scores worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import block_diag

from bids_shresnet.diffusion.harmonics import order_indices, shell_fitting_matrix
from bids_shresnet.diffusion.rish import MAX_GAIN, MIN_ORDER_POWER, rish
from bids_shresnet.diffusion.spatial.splatting import SplattedValues
from bids_shresnet.diffusion.spatial.template import (
    Template,
    TemplatePositions,
    average_heads,
    brain_points,
)
from bids_shresnet.pairs import MatchedVoxels, TravellingSubject
from bids_shresnet.scans import Shell, ShImage

GAIN_RANGE = (1 / MAX_GAIN, MAX_GAIN)


@dataclass(frozen=True)
class LinearRish:
    """Gains on the template's grid.

    Attributes
    ----------
    gains
        Gain of every order of every shell, in the order of `order_indices`; 1 where a scanner has
        no data.
    """

    template: Template
    gains: Float[np.ndarray, "x y z o"]

    def predict(self, image: ShImage) -> Float[np.ndarray, "v c"]:
        """Harmonize the coefficients in the mask, in the order of `np.argwhere`."""
        return self.predict_at_positions(image, self.template.locate(image, brain_points(image)))

    def predict_at_positions(
        self, image: ShImage, positions: Float[np.ndarray, "v 3"]
    ) -> Float[np.ndarray, "v c"]:
        """Harmonize like `predict`, given the template positions (mm) of the mask's voxels."""
        out: Float[np.ndarray, "v c"] = image.coefficients[image.mask]
        gains = self.template.interpolate(self.gains, positions)
        for order, group in enumerate(order_indices(image.shells)):
            out[:, group] *= gains[:, order, None]
        return out

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the gains and the template."""
        return {"gains": self.gains, **self.template.arrays()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> LinearRish:
        """Invert `arrays`."""
        return cls(Template.from_arrays(arrays), arrays["gains"])


def fit_linear_rish(
    template: Template,
    training: Sequence[TravellingSubject],
    positions: Sequence[TemplatePositions],
) -> LinearRish:
    """Fit the gains on subjects with known template positions."""
    pairs = list(zip(training, positions, strict=True))
    source = average_heads([_source_power(template, *pair) for pair in pairs])
    target = average_heads([_target_power(template, *pair) for pair in pairs])
    gain = np.sqrt(target.grid / np.maximum(source.grid, MIN_ORDER_POWER))
    is_measured = (source.mask & target.mask)[..., None] & (source.grid > MIN_ORDER_POWER)
    gains = np.where(is_measured, np.clip(gain, *GAIN_RANGE), 1)
    return LinearRish(template, gains.astype(np.float32))


def fit_regularized_coefficients(
    matched: MatchedVoxels, shells: Sequence[Shell]
) -> Float[np.ndarray, "v c"]:
    """Fit the target's signal with the regularization of the source's fit.

    Its weight grows with the number of directions as in `shell_fitting_matrix`, so that scanners
    with other numbers do not differ in power. The coefficients are in the source head's pose.
    """
    ends = np.flatnonzero(np.diff(matched.bvals)) + 1
    tables = np.split(np.asarray(matched.bvecs), ends)
    blocks = [shell_fitting_matrix(*pair) for pair in zip(tables, shells, strict=True)]
    fit_matrix = block_diag(*blocks).astype(np.float32)
    return np.asarray(matched.signal.astype(np.float32) @ fit_matrix.T)


def _source_power(
    template: Template, subject: TravellingSubject, positions: TemplatePositions
) -> SplattedValues:
    """Average the power of the scan's own voxels, with their noise, as the gain will meet them.

    Interpolation between voxels removes power, which the gain would then restore twice: grey-matter
    FA became worse than without harmonization (simulated heads: 2 % more error instead of 37 %
    less).
    """
    image = subject.source
    power = rish(image.coefficients[image.mask], order_indices(image.shells))
    return template.to_grid(positions.brain, power)


def _target_power(
    template: Template, subject: TravellingSubject, positions: TemplatePositions
) -> SplattedValues:
    shells = subject.source.shells
    power = rish(fit_regularized_coefficients(subject.matched, shells), order_indices(shells))
    return template.to_grid(positions.matched, power)
