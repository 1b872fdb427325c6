from __future__ import annotations

from pathlib import Path

import pytest

from bids_shresnet.errors import UsageError
from bids_shresnet.harmonization.options import (
    HarmonizeOptions,
    applicable_method,
    check_options,
    restrict_options,
)
from bids_shresnet.settings import Method
from tests.models import constant_model


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    (tmp_path / "dataset_description.json").write_text('{"Name": "x"}')
    return tmp_path


@pytest.mark.parametrize(
    ("fitted", "own", "requested", "applied"),
    [
        ("shresnet", "shresnet", "shresnet_projected", "shresnet_projected"),
        ("shresnet", "shresnet_projected", "shresnet", "shresnet"),
        ("shresnet", "shresnet_projected", "golkov", "shresnet_projected"),
        ("shresnet", "shresnet_projected", None, "shresnet_projected"),
        ("order_gain", "order_gain", "shresnet", "order_gain"),
    ],
)
def test_a_fit_is_applied_as_requested_or_else_in_the_models_own_way(
    fitted: Method, own: Method, requested: Method | None, applied: Method, dataset: Path
) -> None:
    model = constant_model(dataset / "model", dataset, fitted_as=fitted, method=own)
    assert applicable_method(model, requested) == applied


@pytest.mark.parametrize(
    ("missing_signal", "is_requested", "is_predicted"),
    [(0.25, True, True), (0.25, False, False), (None, True, False)],
)
def test_missing_shells_are_predicted_if_requested_and_the_model_can(
    missing_signal: float | None, is_requested: bool, is_predicted: bool, dataset: Path
) -> None:
    model = constant_model(dataset / "model", dataset, missing=missing_signal)
    options = HarmonizeOptions(should_predict_missing=is_requested)
    assert restrict_options(options, model).should_predict_missing == is_predicted


def test_options_that_the_model_cannot_follow_are_refused_with_a_remedy(dataset: Path) -> None:
    model = constant_model(dataset / "model", dataset)
    check_options(HarmonizeOptions(), model)
    check_options(HarmonizeOptions(method="shresnet_projected"), model)
    with pytest.raises(UsageError, match=r"golkov.*Leave the method out"):
        check_options(HarmonizeOptions(method="golkov"), model)
    with pytest.raises(UsageError, match=r"shells that its source lacks.*Train it"):
        check_options(HarmonizeOptions(should_predict_missing=True), model)
