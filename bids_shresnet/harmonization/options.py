"""How a model is applied, and what a model can do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from bids_shresnet.errors import UsageError
from bids_shresnet.methods.registry import METHOD_SPECS
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.settings import APPLIED_METHODS, Method, NoiseChoice, OutputType


@dataclass(frozen=True, kw_only=True)
class HarmonizeOptions:
    """How a model is applied to a scan.

    Attributes
    ----------
    method
        Way to apply the fitted networks; None is the model's own.
    device
        Where networks run: "cpu", "cuda" or "cuda:N".
    output_directions
        Gradient table of the harmonized DWI: the scan's own, or the target's.
    noise
        "target" puts one draw of the target's noise into the DWI, "none" leaves it without noise.
    should_abstain
        Leave voxels unchanged where the tissue is unlike the training data.
    should_predict_missing
        Add the shells that the target has and the source lacks.
    output_type
        Numbers of the DWI on disk; "input" are integers if the scan has them.
    """

    method: Method | None = None
    device: str = "cpu"
    output_directions: Literal["source", "target"] = "source"
    noise: NoiseChoice = "none"
    should_abstain: bool = False
    should_predict_missing: bool = False
    output_type: OutputType = "input"


def applicable_method(model: Model, requested: Method | None) -> Method:
    """Return the requested method if it applies the model's fit, else the model's own method."""
    if requested is None or METHOD_SPECS[requested].fitted_method != model.card.fitted_as:
        return model.card.method
    return requested


def restrict_options(options: HarmonizeOptions, model: Model) -> HarmonizeOptions:
    """Return the options with a definite method, without what the model cannot do."""
    return replace(
        options,
        method=applicable_method(model, options.method),
        should_predict_missing=options.should_predict_missing and bool(model.missing_shells),
    )


def check_options(options: HarmonizeOptions, model: Model) -> None:
    """Check that a model can do all that is asked for.

    Raises
    ------
    UsageError
        If the method applies to another fit, or the model predicts no missing shells.
    """
    method = options.method
    is_known = method is None or method in APPLIED_METHODS
    if not is_known or method not in (None, applicable_method(model, method)):
        msg = (
            f"method {method}: the model {model.name} was fitted as {model.card.fitted_as} "
            "and cannot be applied this way. Leave the method out to use the model's own."
        )
        raise UsageError(msg)
    if options.should_predict_missing and not model.missing_shells:
        msg = (
            f"the model {model.name} was not trained to predict shells that its source lacks. "
            "Train it with --predict-missing-shells."
        )
        raise UsageError(msg)
