"""Rewrite: a scan in memory and a model -> the DWI that the target scanner would have measured; no file is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bids_shresnet.diffusion.representation import (
    Representation,
    append_shells,
    represent_dwi,
    synthesize_dwi,
)
from bids_shresnet.harmonization.predict import (
    FoldCard,
    Prediction,
    predict,
    predict_missing_shells,
)
from bids_shresnet.inputs.load_scan import LoadedScan
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.scans import Dwi
from bids_shresnet.settings import Method


@dataclass(frozen=True)
class HarmonizeOptions:
    """How a model is applied.

    Attributes
    ----------
    method
        How what it has learned is applied.
    output_directions
        Whose gradient table the harmonized DWI has.
    should_abstain
        Whether voxels unlike anything in the training data stay as they were.
    should_predict_missing
        Whether the shells that only the target has are predicted as well.
    """

    method: Method
    device: str = "cpu"
    output_directions: Literal["source", "target"] = "source"
    should_abstain: bool = False
    should_predict_missing: bool = False


@dataclass(frozen=True)
class HarmonizedDwi:
    """A harmonized scan.

    Attributes
    ----------
    dwi
        On the scan's own grid; predicted shells come last.
    measured_volume_count
        How many of its volumes, from the first, stand for something the scan measured.
    prediction
        What the networks said, and how far they can be trusted.
    """

    dwi: Dwi
    measured_volume_count: int
    prediction: Prediction
    representation: Representation


def apply_model(
    loaded: LoadedScan, model: Model, folds: Sequence[FoldCard], options: HarmonizeOptions
) -> HarmonizedDwi:
    """Harmonize a scan with these folds of a model.

    Raises
    ------
    ValueError
        If the scan lacks a shell of the model.
    """
    represented = represent_dwi(loaded.dwi, loaded.mask, model.source_shells)
    result = predict(model, folds, represented, options.method, options.device)
    directions = model.target_directions if options.output_directions == "target" else None
    known = (
        result.image.mask & ~result.novel_voxels if options.should_abstain else result.image.mask
    )
    image = replace(result.image, mask=known)
    dwi = synthesize_dwi(loaded.dwi, represented, image, model.target_bvalues, directions)
    measured = len(dwi.bvals)
    if options.should_predict_missing:
        added = replace(
            predict_missing_shells(model, folds, represented.image, options.device), mask=known
        )
        dwi = append_shells(dwi, loaded.dwi, added, model.missing_shell_directions)
    return HarmonizedDwi(dwi, measured, result, represented)
