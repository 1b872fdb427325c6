"""Rewrite: a scan in memory and a model -> the DWI that the target scanner would have measured; no file is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bids_shresnet.diffusion.representation import Representation, extended, represent, restore
from bids_shresnet.harmonization.predict import Fold, Harmonized, ask, ask_missing
from bids_shresnet.inputs.load_scan import Loaded
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.scans import Dwi
from bids_shresnet.settings import Method


@dataclass(frozen=True)
class Choices:
    """How a model is applied.

    Attributes
    ----------
    method
        How what it has learned is applied.
    output_directions
        Whose gradient table the harmonized DWI has.
    abstain
        Whether voxels unlike anything in the training data stay as they were.
    missing_shells
        Whether the shells that only the target has are predicted as well.
    """

    method: Method
    device: str = "cpu"
    output_directions: Literal["source", "target"] = "source"
    abstain: bool = False
    missing_shells: bool = False


@dataclass(frozen=True)
class Rewritten:
    """A harmonized scan.

    Attributes
    ----------
    dwi
        On the scan's own grid; predicted shells come last.
    measured
        How many of its volumes, from the first, stand for something the scan measured.
    result
        What the networks said, and how far they can be trusted.
    """

    dwi: Dwi
    measured: int
    result: Harmonized
    represented: Representation


def rewrite(loaded: Loaded, model: Model, folds: Sequence[Fold], choices: Choices) -> Rewritten:
    """Harmonize a scan with these folds of a model.

    Raises
    ------
    ValueError
        If the scan lacks a shell of the model.
    """
    represented = represent(loaded.dwi, loaded.mask, model.source_shells)
    result = ask(model, folds, represented, choices.method, choices.device)
    directions = model.target_directions if choices.output_directions == "target" else None
    known = result.image.mask & ~result.unknown if choices.abstain else result.image.mask
    image = replace(result.image, mask=known)
    dwi = restore(loaded.dwi, represented, image, model.target_bvalues, directions)
    measured = len(dwi.bvals)
    if choices.missing_shells:
        added = replace(ask_missing(model, folds, represented.image, choices.device), mask=known)
        dwi = extended(dwi, loaded.dwi, added, model.missing_directions)
    return Rewritten(dwi, measured, result, represented)
