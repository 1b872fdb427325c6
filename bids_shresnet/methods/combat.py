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

from bids_shresnet.diffusion.representation import unmask
from bids_shresnet.diffusion.template import Template

TARGET_SITE, SOURCE_SITE = 0, 1  # names of the sites
NEUROHARMONIZE_WARNINGS = (  # what neuroHarmonize 2.4.5 makes numpy say
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
class ScalarSamples:
    """A scalar of one head on one scanner, in voxels of that scanner.

    Of the source those of its own grid, not values interpolated at the target's voxels: what interpolation smooths
    varies less between subjects, and ComBat would stretch it (simulated heads: error of white-matter FA 29 % lower
    instead of 38 %).
    """

    positions: Float[np.ndarray, "p 3"]  # in the template's world
    values: Float[np.ndarray, " p"]


@dataclass(frozen=True)
class VoxelwiseCombat:
    """The site effect in each voxel of the template: (slope, intercept), (1, 0) where not all subjects were."""

    template: Template
    slope_intercept: Float[np.ndarray, "x y z 2"]

    def remove(
        self, values: Float[np.ndarray, " p"], positions: Float[np.ndarray, "p 3"]
    ) -> Float[np.ndarray, " p"]:
        """Source values as the target would have measured them; they lie at `places` in the template's world.

        The line is carried to the value, not the value to the template: a map that is resampled twice is blurred.
        """
        slope, intercept = self.template.interpolate(self.slope_intercept, positions).T
        return np.asarray(values * slope + intercept)


def fit_mean_combat(
    source: Float[np.ndarray, "n f"], target: Float[np.ndarray, "n f"]
) -> SiteEffect:
    """ComBat on a few features, such as the mean FA of white and of grey matter.

    Without the empirical Bayes step: how site effects scatter over features cannot be known from two.
    """
    return _fit_site_effect(source, target, has_empirical_bayes=False)


def fit_voxelwise_combat(
    template: Template, source: Sequence[ScalarSamples], target: Sequence[ScalarSamples]
) -> VoxelwiseCombat:
    """ComBat with the template's voxels as features, those that every subject has on both scanners."""
    sources, targets = (
        [template.to_grid(m.positions, np.asarray(m.values)[:, None]) for m in site]
        for site in (source, target)
    )
    everywhere = np.all([head.mask for head in (*sources, *targets)], axis=0)
    here, there = (
        np.stack([head.grid[everywhere, 0] for head in site]) for site in (sources, targets)
    )
    effect = _fit_site_effect(
        here.astype(np.float64), there.astype(np.float64), has_empirical_bayes=True
    )
    lines = unmask(
        np.stack([effect.slope, effect.intercept], axis=1).astype(np.float32), everywhere
    )
    lines[~everywhere] = 1, 0
    return VoxelwiseCombat(template, lines)


def _fit_site_effect(
    source: Float[np.ndarray, "n f"], target: Float[np.ndarray, "n f"], *, has_empirical_bayes: bool
) -> SiteEffect:
    """Features in which one scanner sees no difference between subjects have no scale; they are left as they are."""
    varied = (source.std(axis=0) > 0) & (target.std(axis=0) > 0)
    slope, intercept = np.ones(source.shape[1]), np.zeros(source.shape[1])
    if not varied.any():
        return SiteEffect(slope, intercept)
    data, sites = _stack_sites(source[:, varied], target[:, varied])
    with _silence_neuroharmonize():
        model, _ = harmonizationLearn(data, sites, eb=has_empirical_bayes, ref_batch=TARGET_SITE)
    slope[varied], intercept[varied] = _slope_and_intercept(model, data.shape[1])
    return SiteEffect(slope, intercept)


def _slope_and_intercept(
    model: Mapping[str, object], features: int
) -> tuple[Float[np.ndarray, " f"], Float[np.ndarray, " f"]]:
    """Slope and intercept of a fitted model, which is a line in each feature: read from what it makes of 0 and 1."""
    probes = np.stack([np.zeros(features), np.ones(features)])
    data, sites = _stack_sites(probes, probes)  # neuroHarmonize wants to see a value of every site
    with _silence_neuroharmonize():
        zero, one = harmonizationApply(data, sites, model)[: len(probes)]
    return one - zero, zero


def _stack_sites(
    source: Float[np.ndarray, "n f"], target: Float[np.ndarray, "m f"]
) -> tuple[Float[np.ndarray, "s f"], pd.DataFrame]:
    """Samples of both sites and their table, source first."""
    sites = pd.DataFrame(
        {"SITE": np.repeat([SOURCE_SITE, TARGET_SITE], [len(source), len(target)])}
    )
    return np.concatenate([source, target]), sites


@contextlib.contextmanager
def _silence_neuroharmonize() -> Iterator[None]:
    """Keep what neuroHarmonize prints, and its two known warnings, to itself.

    It estimates the effect of the reference too, which is zero, divides by it, and throws the result away.
    """
    with (
        contextlib.redirect_stdout(io.StringIO()),
        np.errstate(divide="ignore", invalid="ignore"),
        warnings.catch_warnings(),
    ):
        for category, message in NEUROHARMONIZE_WARNINGS:
            warnings.filterwarnings("ignore", message, category)
        yield
