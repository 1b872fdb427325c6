"""All methods by name: how each is fitted, and how what was fitted is loaded again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bids_shresnet.io.safetensors import read_arrays, read_record
from bids_shresnet.methods.golkov import fit_golkov, load_golkov
from bids_shresnet.methods.harmonizer import Arrays, Fitted, Harmonizer, Lesson
from bids_shresnet.methods.linear import (
    fit_gains,
    fit_patch_linear,
    fit_projection,
    load_gains,
    load_patch_linear,
    load_projection,
)
from bids_shresnet.methods.shresnet import fit_cdmri2017, fit_shresnet, load_shresnet
from bids_shresnet.methods.template_methods import fit_in_template, load_in_template
from bids_shresnet.settings import Method


@dataclass(frozen=True)
class Recipe:
    """How a method is made.

    Attributes
    ----------
    fitted_as
        The method whose fit it applies in another way; its own name if it has a fit of its own.
    denoises
        Whether its output has next to no noise of the scan left, so that a comparison with a measured scan must add
        the noise of measuring.
    """

    fitted_as: Method
    fit: Callable[[Lesson], Fitted]
    load: Callable[[Arrays, Mapping[str, Any], str], Harmonizer]
    denoises: bool


def _projected(arrays: Arrays, record: Mapping[str, Any], device: str) -> Harmonizer:
    return replace(load_shresnet(arrays, record, device), projected=True)


def _uncalibrated(arrays: Arrays, record: Mapping[str, Any], device: str) -> Harmonizer:
    return replace(load_shresnet(arrays, record, device), calibrated=False)


RECIPES: Mapping[Method, Recipe] = {
    "shresnet": Recipe("shresnet", fit_shresnet, load_shresnet, denoises=True),
    "shresnet_projected": Recipe("shresnet", fit_shresnet, _projected, denoises=False),
    "shresnet_uncalibrated": Recipe("shresnet", fit_shresnet, _uncalibrated, denoises=True),
    "cdmri2017": Recipe("cdmri2017", fit_cdmri2017, load_shresnet, denoises=True),
    "golkov": Recipe("golkov", fit_golkov, load_golkov, denoises=True),
    "linear_rish": Recipe("linear_rish", fit_in_template, load_in_template, denoises=False),
    "patch_linear": Recipe("patch_linear", fit_patch_linear, load_patch_linear, denoises=True),
    "order_gain": Recipe("order_gain", fit_gains, load_gains, denoises=False),
    "sh_projection": Recipe("sh_projection", fit_projection, load_projection, denoises=False),
}


def load_harmonizer(path: Path, method: Method, device: str) -> Harmonizer:
    """What a fold's file holds, to be applied in the way of a method."""
    return RECIPES[method].load(read_arrays(str(path)), read_record(str(path))["harmonizer"], device)
