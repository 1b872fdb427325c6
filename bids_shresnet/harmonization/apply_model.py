"""A scan in memory and a model -> the DWI that the target scanner would have measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.representation import (
    append_shells,
    represent_dwi,
    synthesize_dwi,
)
from bids_shresnet.harmonization.options import HarmonizeOptions, applicable_method
from bids_shresnet.harmonization.predict import predict, predict_missing_shells
from bids_shresnet.inputs.load_scan import LoadedScan
from bids_shresnet.outputs.model_card import FoldRecord
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.scans import Dwi
from bids_shresnet.settings import Method


@dataclass(frozen=True, kw_only=True)
class HarmonizedScan:
    """A harmonized scan in memory, in the convention of `bids_shresnet.scans`.

    Attributes
    ----------
    dwi
        Signal of the target scanner on the scan's own grid; predicted shells come last.
    mask
        Voxels of the brain; the signal outside is as measured.
    uncertainty
        Standard deviation of the predicted S/S0 over the networks; None for a single network.
    novelty
        Distance from the training data: above 1 the tissue is unlike it, 0 cannot be judged.
    method
        Way in which the networks were applied.
    measured_volume_count
        Number of volumes, from the first, that the scan measured on its own scanner; the
        volumes after them are predicted shells.
    used_volume_count
        Number of volumes of the scan that the networks used.
    clipped_fraction
        Share of the scan's S/S0 outside [0, 1], which was clipped.
    """

    dwi: Dwi
    mask: Bool[np.ndarray, "x y z"]
    uncertainty: Float[np.ndarray, "x y z"] | None
    novelty: Float[np.ndarray, "x y z"]
    method: Method
    measured_volume_count: int
    used_volume_count: int
    clipped_fraction: float

    @property
    def novel_fraction(self) -> float:
        """Share of the voxels that can be judged whose tissue is unlike the training data."""
        judged = self.novelty > 0
        return float((self.novelty[judged] > 1).mean()) if judged.any() else 0.0


def apply_model(
    scan: LoadedScan, model: Model, folds: Sequence[FoldRecord], options: HarmonizeOptions
) -> HarmonizedScan:
    """Harmonize a scan with some folds of a model; no file is written.

    Raises
    ------
    ValueError
        If the scan lacks a shell of the model.
    """
    method = applicable_method(model, options.method)
    representation = represent_dwi(scan.dwi, scan.mask, model.source_shells)
    prediction = predict(model, folds, representation, method=method, device=options.device)
    harmonized_mask = prediction.sh_image.mask
    if options.should_abstain:
        harmonized_mask = harmonized_mask & (prediction.novelty <= 1)
    dwi = synthesize_dwi(
        scan.dwi,
        representation,
        replace(prediction.sh_image, mask=harmonized_mask),
        model.target_bvalues,
        model.target_directions if options.output_directions == "target" else None,
    )
    measured_volume_count = len(dwi.bvals)
    if options.should_predict_missing:
        added = predict_missing_shells(model, folds, representation.image, options.device)
        added = replace(added, mask=harmonized_mask)
        dwi = append_shells(dwi, scan.dwi, added, model.missing_shell_directions)
    return HarmonizedScan(
        dwi=dwi,
        mask=scan.mask,
        uncertainty=prediction.uncertainty,
        novelty=prediction.novelty,
        method=method,
        measured_volume_count=measured_volume_count,
        used_volume_count=sum(len(volumes) for volumes in representation.volumes),
        clipped_fraction=representation.clipped_share,
    )
