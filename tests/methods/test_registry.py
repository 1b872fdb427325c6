from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.diffusion.rish import project_rish
from bids_shresnet.io.safetensors import serialize_arrays
from bids_shresnet.methods.harmonizer import FitResult, Harmonizer
from bids_shresnet.methods.networks.shresnet import ShresnetHarmonizer
from bids_shresnet.methods.registry import METHOD_SPECS, load_harmonizer
from bids_shresnet.settings import METHOD_NAMES, METHODS, Method, NetworkConfig
from tests.methods.heads import ORDERS, QUICK, fit_task, head, travelling

GRID = (16, 15, 14)  # ANTs needs that much
SHORT = replace(QUICK, max_epochs=1, voxels_per_epoch=200)


@cache
def fitted(method: Method) -> FitResult[Harmonizer]:
    """A method fitted on two subjects, the network with all our additions."""
    subjects = [travelling(head(seed, GRID), 12, sigma=0.02) for seed in (1, 2)]
    network = NetworkConfig(resblocks=1, hidden=3)
    return METHOD_SPECS[method].fit(fit_task(subjects, training_config=SHORT, network=network))


def fitted_shresnet(method: Method) -> ShresnetHarmonizer:
    harmonizer = fitted(method).harmonizer
    assert isinstance(harmonizer, ShresnetHarmonizer)
    return harmonizer


def loaded(method: Method, folder: Path) -> Harmonizer:
    """The fitted harmonizer after writing and loading."""
    harmonizer = fitted(METHOD_SPECS[method].fitted_method).harmonizer
    path = folder / "fold.safetensors"
    path.write_bytes(serialize_arrays(harmonizer.arrays(), {"harmonizer": harmonizer.record()}))
    return load_harmonizer(path, method, "cpu")


def test_every_method_has_a_spec_and_a_name() -> None:
    assert set(METHOD_SPECS) == set(METHODS) == set(METHOD_NAMES)
    assert len(METHODS) == len(set(METHOD_NAMES.values()))


def test_methods_that_keep_the_noise_of_the_scan_are_no_denoising_ones() -> None:
    """To their maps no noise is added a second time."""
    keeping = {"b_value_only", "linear_rish", "map_regression", "order_gain"}
    keeping |= {"sh_projection", "shresnet_projected"}
    assert {name for name, spec in METHOD_SPECS.items() if not spec.is_denoising} == keeping


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_fitted_as_one_that_has_a_fit_of_its_own(method: Method) -> None:
    fitted_method = METHOD_SPECS[method].fitted_method
    assert METHOD_SPECS[fitted_method].fitted_method == fitted_method
    assert METHOD_SPECS[fitted_method].fit is METHOD_SPECS[method].fit


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", [method for method in METHODS if METHOD_SPECS[method].fitted_method == method]
)
def test_a_loaded_harmonizer_predicts_like_the_fitted_one(method: Method, tmp_path: Path) -> None:
    before = fitted(method).harmonizer
    after = loaded(method, tmp_path)
    image = head(3, GRID)
    expected = before.predict(image)
    columns = 2 if METHOD_SPECS[method].is_map_method else 6
    assert expected.shape == (image.mask.sum(), columns)
    np.testing.assert_allclose(after.predict(image), expected, rtol=1e-6, atol=1e-7)
    assert json.dumps(after.record()) == json.dumps(before.record())
    assert after.arrays().keys() == before.arrays().keys()


@pytest.mark.slow
def test_without_calibration_the_prediction_is_the_networks(tmp_path: Path) -> None:
    image = head(3, GRID)
    calibrated = fitted_shresnet("shresnet")
    assert calibrated.head is not None
    expected = replace(calibrated, head=None).predict(image)
    uncalibrated = loaded("shresnet_uncalibrated", tmp_path).predict(image)
    np.testing.assert_allclose(uncalibrated, expected, rtol=1e-6)
    assert not np.allclose(uncalibrated, calibrated.predict(image), rtol=1e-2)


def test_the_projection_uses_the_calibrated_prediction(tmp_path: Path) -> None:
    image = head(3, GRID)
    measured = image.coefficients[image.mask]
    predicted = fitted_shresnet("shresnet").predict(image)
    projected = loaded("shresnet_projected", tmp_path).predict(image)
    expected = project_rish(measured, predicted, ORDERS)
    np.testing.assert_allclose(projected, expected, rtol=1e-5, atol=1e-6)


def test_the_network_of_2017_has_one_block_and_none_of_our_additions() -> None:
    harmonizer = fitted_shresnet("cdmri2017")
    architecture = harmonizer.network.architecture
    assert architecture.resblocks == 1
    assert not architecture.has_contrast
    assert not architecture.has_skip
    assert harmonizer.head is None
    assert not harmonizer.is_projected
