"""All methods by name, with the functions that fit, load and apply them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from bids_shresnet.io.file_errors import MODEL_REMEDY, raise_if_unreadable
from bids_shresnet.io.safetensors import read_arrays, read_record
from bids_shresnet.methods.harmonizer import Arrays, FitResult, FitTask, Harmonizer
from bids_shresnet.methods.linear import (
    fit_order_gain,
    fit_patch_linear,
    fit_sh_projection,
    load_order_gain,
    load_patch_linear,
    load_sh_projection,
)
from bids_shresnet.methods.networks.denoiser import fit_denoiser, load_denoiser
from bids_shresnet.methods.networks.golkov import fit_golkov, load_golkov
from bids_shresnet.methods.networks.map_regression import fit_map_regression, load_map_regression
from bids_shresnet.methods.networks.shresnet import fit_cdmri2017, fit_shresnet, load_shresnet
from bids_shresnet.methods.scan_input import (
    ScanInput,
    predict_denoised,
    predict_from_image,
    predict_measured,
)
from bids_shresnet.methods.template.template_methods import (
    fit_template_methods,
    load_template_methods,
)
from bids_shresnet.settings import Method


@dataclass(frozen=True)
class MethodSpec:
    """Functions and properties of a method.

    Attributes
    ----------
    fitted_method
        Method whose fit it applies in another way; its own name if it has a fit of its own.
    fit
        Fits the method.
    load
        Loads a fitted method from its arrays and record to a device.
    is_denoising
        True if its output has nearly no noise of the scan left. Measurement noise is then added
        before it is compared with a measured scan.
    predict
        Predicts the coefficients of a scan's mask with a loaded method.
    is_map_method
        True if it predicts FA and MD and no signal.
    is_measured
        True if it only brings the measured signal to the target's b-values.
    """

    fitted_method: Method
    fit: Callable[[FitTask], FitResult[Harmonizer]]
    load: Callable[[Arrays, Mapping[str, Any], str], Harmonizer]
    is_denoising: bool
    predict: Callable[[Harmonizer, ScanInput], Float[np.ndarray, "v c"]] = predict_from_image
    is_map_method: bool = False
    is_measured: bool = False


def _load_projected(arrays: Arrays, record: Mapping[str, Any], device: str) -> Harmonizer:
    return replace(load_shresnet(arrays, record, device), is_projected=True)


def _load_uncalibrated(arrays: Arrays, record: Mapping[str, Any], device: str) -> Harmonizer:
    return replace(load_shresnet(arrays, record, device), is_calibrated=False)


METHOD_SPECS: Mapping[Method, MethodSpec] = {
    "b_value_only": MethodSpec(
        "sh_projection",
        fit_sh_projection,
        load_sh_projection,
        is_denoising=False,
        predict=predict_measured,
        is_measured=True,
    ),
    "denoised": MethodSpec(
        "denoised", fit_denoiser, load_denoiser, is_denoising=True, predict=predict_denoised
    ),
    "map_regression": MethodSpec(
        "map_regression",
        fit_map_regression,
        load_map_regression,
        is_denoising=False,
        is_map_method=True,
    ),
    "shresnet": MethodSpec("shresnet", fit_shresnet, load_shresnet, is_denoising=True),
    "shresnet_projected": MethodSpec("shresnet", fit_shresnet, _load_projected, is_denoising=False),
    "shresnet_uncalibrated": MethodSpec(
        "shresnet", fit_shresnet, _load_uncalibrated, is_denoising=True
    ),
    "cdmri2017": MethodSpec("cdmri2017", fit_cdmri2017, load_shresnet, is_denoising=True),
    "golkov": MethodSpec("golkov", fit_golkov, load_golkov, is_denoising=True),
    "linear_rish": MethodSpec(
        "linear_rish", fit_template_methods, load_template_methods, is_denoising=False
    ),
    "patch_linear": MethodSpec(
        "patch_linear", fit_patch_linear, load_patch_linear, is_denoising=True
    ),
    "order_gain": MethodSpec("order_gain", fit_order_gain, load_order_gain, is_denoising=False),
    "sh_projection": MethodSpec(
        "sh_projection", fit_sh_projection, load_sh_projection, is_denoising=False
    ),
}


def load_harmonizer(path: Path, method: Method, device: str) -> Harmonizer:
    """Load the file of a fold for a method.

    Raises
    ------
    BadInput
        If the file is damaged, or its arrays are not those of the method.
    """
    with raise_if_unreadable(path, f"no fit of the method {method}", MODEL_REMEDY):
        arrays = read_arrays(path)
        record = read_record(path)["harmonizer"]
        return METHOD_SPECS[method].load(arrays, record, device)
