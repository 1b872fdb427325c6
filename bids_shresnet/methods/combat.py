"""ComBat on FA and MD: what is known of harmonizing maps of a scalar instead of the signal.

The target is the reference batch: its values are what harmonized ones are compared with and stay as measured, so only
the source is moved. Without a reference ComBat would move both to a mean scanner that nobody has.

ComBat itself is neuroHarmonize's. Travelling subjects are the same people on both scanners, so no covariate is given.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from neuroHarmonize import harmonizationApply, harmonizationLearn

from bids_shresnet.diffusion.representation import in_mask
from bids_shresnet.diffusion.template import Template

TARGET, SOURCE = 0, 1  # names of the sites
NOT_OURS = (  # what neuroHarmonize 2.4.5 makes numpy say
    (DeprecationWarning, "Conversion of an array with ndim > 0 to a scalar"),
    (PendingDeprecationWarning, "the matrix subclass is not the recommended way"),
)


@dataclass(frozen=True)
class SiteEffect:
    """What ComBat does to a source value x of each feature: slope x + intercept."""

    slope: Float[np.ndarray, " f"]
    intercept: Float[np.ndarray, " f"]

    def remove(self, values: Float[np.ndarray, "m f"]) -> Float[np.ndarray, "m f"]:
        """Source values as the target would have measured them."""
        return np.asarray(values * self.slope + self.intercept)


@dataclass(frozen=True)
class Measured:
    """A scalar of one head on one scanner, in voxels of that scanner.

    Of the source those of its own grid, not values interpolated at the target's voxels: what interpolation smooths
    varies less between subjects, and ComBat would stretch it (simulated heads: error of white-matter FA 29 % lower
    instead of 38 %).
    """

    places: Float[np.ndarray, "p 3"]  # in the template's world
    scalar: Float[np.ndarray, " p"]


@dataclass(frozen=True)
class VoxelwiseCombat:
    """The site effect in each voxel of the template: (slope, intercept), (1, 0) where not all subjects were."""

    template: Template
    lines: Float[np.ndarray, "x y z 2"]

    def remove(self, values: Float[np.ndarray, " p"], places: Float[np.ndarray, "p 3"]) -> Float[np.ndarray, " p"]:
        """Source values as the target would have measured them; they lie at `places` in the template's world.

        The line is carried to the value, not the value to the template: a map that is resampled twice is blurred.
        """
        slope, intercept = self.template.look_up(self.lines, places).T
        return np.asarray(values * slope + intercept)


def fit_means(source: Float[np.ndarray, "n f"], target: Float[np.ndarray, "n f"]) -> SiteEffect:
    """ComBat on a few features, such as the mean FA of white and of grey matter.

    Without the empirical Bayes step: how site effects scatter over features cannot be known from two.
    """
    return _fit(source, target, empirical_bayes=False)


def fit_voxelwise(template: Template, source: Sequence[Measured], target: Sequence[Measured]) -> VoxelwiseCombat:
    """ComBat with the template's voxels as features, those that every subject has on both scanners."""
    sources, targets = ([template.gather(m.places, m.scalar[:, None]) for m in site] for site in (source, target))
    everywhere = np.all([head.reached for head in (*sources, *targets)], axis=0)
    here, there = (np.stack([head.grid[everywhere, 0] for head in site]) for site in (sources, targets))
    effect = _fit(here.astype(np.float64), there.astype(np.float64), empirical_bayes=True)
    lines = in_mask(np.stack([effect.slope, effect.intercept], axis=1).astype(np.float32), everywhere)
    lines[~everywhere] = 1, 0
    return VoxelwiseCombat(template, lines)


def _fit(source: Float[np.ndarray, "n f"], target: Float[np.ndarray, "n f"], *, empirical_bayes: bool) -> SiteEffect:
    """Features in which one scanner sees no difference between subjects have no scale; they are left as they are."""
    varied = (source.std(axis=0) > 0) & (target.std(axis=0) > 0)
    slope, intercept = np.ones(source.shape[1]), np.zeros(source.shape[1])
    if not varied.any():
        return SiteEffect(slope, intercept)
    data, sites = _stacked(source[:, varied], target[:, varied])
    with _quiet():
        model, _ = harmonizationLearn(data, sites, eb=empirical_bayes, ref_batch=TARGET)
    slope[varied], intercept[varied] = _line(model, data.shape[1])
    return SiteEffect(slope, intercept)


def _line(model: Mapping[str, object], features: int) -> tuple[Float[np.ndarray, " f"], Float[np.ndarray, " f"]]:
    """Slope and intercept of a fitted model, which is a line in each feature: read from what it makes of 0 and 1."""
    probes = np.stack([np.zeros(features), np.ones(features)])
    data, sites = _stacked(probes, probes)  # neuroHarmonize wants to see a value of every site
    with _quiet():
        zero, one = harmonizationApply(data, sites, model)[: len(probes)]
    return one - zero, zero


def _stacked(
    source: Float[np.ndarray, "n f"], target: Float[np.ndarray, "m f"]
) -> tuple[Float[np.ndarray, "s f"], pd.DataFrame]:
    """Samples of both sites and their table, source first."""
    sites = pd.DataFrame({"SITE": np.repeat([SOURCE, TARGET], [len(source), len(target)])})
    return np.concatenate([source, target]), sites


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what neuroHarmonize prints, and its two known warnings, to itself.

    It estimates the effect of the reference too, which is zero, divides by it, and throws the result away.
    """
    with (
        contextlib.redirect_stdout(io.StringIO()),
        np.errstate(divide="ignore", invalid="ignore"),
        warnings.catch_warnings(),
    ):
        for category, message in NOT_OURS:
            warnings.filterwarnings("ignore", message, category)
        yield
