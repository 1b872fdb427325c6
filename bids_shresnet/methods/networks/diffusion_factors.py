"""Random changes of FA and MD, put into the coefficients of training samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bids_shresnet.network.amplitude import is_order_0

FA_SPREAD = 0.1  # standard deviation of the logarithm of factors (docs/experiments.md)
MD_SPREAD = 0.1
MIN_MEAN = 1e-3  # S/S0; a smaller mean of a shell is noise
MEAN_PER_ORDER_0 = float(1 / (2 * np.sqrt(np.pi)))  # mean of the signal whose coefficient is 1


@dataclass(frozen=True)
class DiffusionFactors:
    """Factors on FA and on MD, one of each per sample.

    The mean of a shell's S/S0 is about exp(-b MD), and its variation over directions is about
    proportional to exp(-b MD) b MD FA. So the mean s becomes s^m for a factor m on MD, and all
    orders but 0 are multiplied by f m s^m / s for a factor f on FA.
    """

    fa: Float[Tensor, " v"]
    md: Float[Tensor, " v"]

    @classmethod
    def draw(cls, count: int, rng: np.random.Generator) -> DiffusionFactors:
        """Draw independent log-normal factors around 1."""
        logarithms = torch.from_numpy(rng.standard_normal((count, 2))).float()
        fa, md = (logarithms * torch.tensor([FA_SPREAD, MD_SPREAD])).exp().unbind(1)
        return cls(fa, md)

    def split(self, size: int) -> list[DiffusionFactors]:
        """Split into chunks of at most `size` samples."""
        pairs = zip(self.fa.split(size), self.md.split(size), strict=True)
        return [DiffusionFactors(fa, md) for fa, md in pairs]

    @property
    def relative_variations(self) -> Float[Tensor, "v 1"]:
        """Factors on variations over directions, relative to the mean."""
        return (self.fa * self.md)[:, None]

    def scale_means(self, means: Float[Tensor, "v n"]) -> Float[Tensor, "v n"]:
        """Return the factors on the mean S/S0 of a shell, from those means."""
        return means.clamp_min(MIN_MEAN) ** (self.md[:, None] - 1)

    def scale_variations(self, means: Float[Tensor, "v n"]) -> Float[Tensor, "v n"]:
        """Return the factors on all orders but 0 of a shell with these means."""
        return self.scale_means(means) * self.relative_variations

    def change_patches(
        self,
        patches: Float[Tensor, "v p n"],
        denoised: Float[Tensor, "v p c"],
        groups: Sequence[slice],
    ) -> Float[Tensor, "v p n"]:
        """Change FA and MD of all voxels of each patch by its factors, and leave its noise.

        Parameters
        ----------
        denoised
            Coefficients of the patches without most of their noise. What the factors add is a
            multiple of these.
        groups
            Places of the coefficients of every order and shell; each shell begins with its order 0.
            Channels after them stay.
        """
        changed = patches.clone()
        for group in groups:
            if is_order_0(group):
                scale = self.scale_means(denoised[..., group.start] * MEAN_PER_ORDER_0)
                variation_scale = scale * self.relative_variations
            else:
                scale = variation_scale
            changed[..., group] += (scale[..., None] - 1) * denoised[..., group]
        return changed
