from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.diffusion.rish import project_rish
from bids_shresnet.io.safetensors import read_arrays, read_record, serialize_arrays
from bids_shresnet.methods.harmonizer import FitResult, Harmonizer
from bids_shresnet.methods.registry import METHOD_SPECS
from bids_shresnet.settings import METHOD_NAMES, METHODS, Method, NetworkConfig
from tests.methods.heads import ORDERS, QUICK, head, lesson, travelling

GRID = (16, 15, 14)  # ANTs needs that much
SHORT = replace(QUICK, max_epochs=1, voxels_per_epoch=200)


@cache
def fitted(method: Method) -> FitResult:
    """On two subjects, with all that is ours switched on."""
    subjects = [travelling(head(seed, GRID), 12, sigma=0.02) for seed in (1, 2)]
    return METHOD_SPECS[method].fit(
        lesson(subjects, schedule=SHORT, network=NetworkConfig(resblocks=1, hidden=3))
    )


def loaded(method: Method, folder: Path) -> Harmonizer:
    """What was fitted, written and read again."""
    found, path = fitted(METHOD_SPECS[method].fitted_method).harmonizer, folder / "fold.safetensors"
    path.write_bytes(serialize_arrays(found.arrays(), {"harmonizer": found.record()}))
    return METHOD_SPECS[method].load(
        read_arrays(str(path)), read_record(str(path))["harmonizer"], "cpu"
    )


def test_every_method_has_a_recipe_and_a_name() -> None:
    assert set(METHOD_SPECS) == set(METHODS) == set(METHOD_NAMES)
    assert len(METHODS) == len(set(METHODS)) == len(set(METHOD_NAMES.values()))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_fitted_as_one_that_has_a_fit_of_its_own(method: Method) -> None:
    own = METHOD_SPECS[method].fitted_method
    assert METHOD_SPECS[own].fitted_method == own
    assert METHOD_SPECS[own].fit is METHOD_SPECS[method].fit


@pytest.mark.parametrize(
    "method", [method for method in METHODS if METHOD_SPECS[method].fitted_method == method]
)
def test_what_was_fitted_comes_back_from_its_file_with_the_same_prediction(
    method: Method, tmp_path: Path
) -> None:
    found, again, image = fitted(method).harmonizer, loaded(method, tmp_path), head(3, GRID)
    before, after = found.predict(image), again.predict(image)
    assert before.shape == (image.mask.sum(), 6)
    np.testing.assert_allclose(after, before, rtol=1e-6, atol=1e-7)
    assert json.dumps(again.record()) == json.dumps(found.record())
    assert again.arrays().keys() == found.arrays().keys()


def test_without_calibration_the_network_alone_speaks(tmp_path: Path) -> None:
    image, whole = head(3, GRID), fitted("shresnet").harmonizer
    assert whole.head is not None
    expected = replace(whole, head=None).predict(image)
    found = loaded("shresnet_uncalibrated", tmp_path).predict(image)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert not np.allclose(found, whole.predict(image), rtol=1e-2)


def test_the_projection_is_of_what_the_whole_method_predicts(tmp_path: Path) -> None:
    image = head(3, GRID)
    measured, predicted = (
        image.coefficients[image.mask],
        fitted("shresnet").harmonizer.predict(image),
    )
    found = loaded("shresnet_projected", tmp_path).predict(image)
    np.testing.assert_allclose(
        found, project_rish(measured, predicted, ORDERS).coefficients, rtol=1e-5, atol=1e-6
    )


def test_the_network_of_2017_has_one_block_and_nothing_of_ours() -> None:
    found = fitted("cdmri2017").harmonizer
    architecture = found.network.architecture
    assert (architecture.resblocks, architecture.has_contrast, architecture.has_skip) == (
        1,
        False,
        False,
    )
    assert found.head is None
    assert not found.is_projected
