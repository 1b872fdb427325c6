from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from bids_shresnet.config import ModelSettings
from bids_shresnet.errors import BadInput
from bids_shresnet.methods.networks.shresnet import ShresnetHarmonizer
from bids_shresnet.network.shresnet import Architecture, SHResNet
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.outputs.runs.run_log import Run
from bids_shresnet.pairs import Inventory, Selection
from bids_shresnet.planning.plan import Plan
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.workflow import execute_plan
from tests.configs import make_config
from tests.models import change_card, write_harmonizer

NO_PLAN = Plan(Inventory((), (), ()), (), Selection((), ()), ())


def test_networks_that_do_not_fit_their_model_are_refused_before_a_scan_is_read(
    model: Model, this_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        pytest.fail("a scan is read")

    monkeypatch.setattr(execute_plan, "harmonize_scans", fail)
    other_order = SHResNet(Architecture((1, 5, 9), resblocks=1, hidden=2)).eval()
    file = model.folder / "fold-02.safetensors"
    weights = write_harmonizer(file, ShresnetHarmonizer(other_order))
    first, second, third = model.card.folds
    changed = change_card(model, folds=(first, replace(second, weights=weights), third))
    config = make_config(output_dir=Path(this_run.root))
    with pytest.raises(BadInput, match=r"fold-02\.safetensors"):
        execute_plan.use_models(NO_PLAN, [changed], config, this_run, Workers(1, 1))


def test_a_model_that_is_not_validated_is_named_or_on_request_refused(
    model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        execute_plan.check_validation([model], ModelSettings())
    assert f"{model.name}: it was never cross-validated" in caplog.text
    with pytest.raises(BadInput, match="never cross-validated"):
        execute_plan.check_validation([model], ModelSettings(require_validation=True))
