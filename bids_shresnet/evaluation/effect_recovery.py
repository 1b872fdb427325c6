"""Known effects in the source scan of a held-out subject, harmonized by the applied method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.masking import unmask
from bids_shresnet.diffusion.representation import represent_dwi
from bids_shresnet.diffusion.tensors import TensorMaps
from bids_shresnet.harmonization.apply_coefficients import Application, apply_coefficients
from bids_shresnet.inputs.load_scan import LoadedScan
from bids_shresnet.methods.harmonizer import Harmonizer
from bids_shresnet.methods.template_methods import TemplateMethods
from bids_shresnet.scans import Shell, ShImage

COMPARABLE = "comparable"  # kinds of maps
DENOISED = "denoised"


@dataclass(frozen=True)
class VoxelHarmonizer:
    """Harmonizes some voxels of a scan as a user's scan is harmonized, and fits their maps.

    Attributes
    ----------
    harmonizer
        The applied method, fitted without the subject.
    shells
        Shells of the source.
    application
        How its predictions become a scan.
    """

    harmonizer: Harmonizer
    shells: tuple[Shell, ...]
    application: Application

    def __call__(
        self, scan: LoadedScan, voxels: Bool[np.ndarray, "x y z"], *, seed: int
    ) -> Mapping[str, Float[np.ndarray, "v 2"]]:
        """Return comparable FA and MD, and denoised ones of methods that denoise."""
        representation = represent_dwi(scan.dwi, scan.mask, self.shells)
        harmonized = apply_coefficients(
            scan,
            representation,
            self.predict(representation.image, voxels),
            replace(self.application, seed=seed),
        )
        maps = {COMPARABLE: _select(harmonized.fit_maps(voxels), voxels)}
        if harmonized.is_denoised:
            maps[DENOISED] = _select(harmonized.fit_denoised_maps(voxels), voxels)
        return maps

    def predict(self, image: ShImage, voxels: Bool[np.ndarray, "x y z"]) -> ShImage:
        """Predict the coefficients of some voxels.

        A method on patches needs their neighbours only. One in a template needs the whole brain,
        because it is registered.
        """
        needs_brain = isinstance(self.harmonizer, TemplateMethods)
        asked = image if needs_brain else replace(image, mask=voxels)
        coefficients = self.harmonizer.predict(asked).astype(np.float32)
        return replace(image, mask=voxels, coefficients=unmask(coefficients, asked.mask))


def _select(maps: TensorMaps, voxels: Bool[np.ndarray, "x y z"]) -> Float[np.ndarray, "v 2"]:
    return np.stack([maps.fa[voxels], maps.md[voxels]], axis=1)
