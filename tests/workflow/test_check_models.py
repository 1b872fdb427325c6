from __future__ import annotations

import logging

import pytest

from bids_shresnet.config import ModelSettings
from bids_shresnet.errors import BadInput
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.workflow.check_models import check_validation


def test_a_model_that_is_not_validated_is_named_or_on_request_refused(
    model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        check_validation([model], ModelSettings())
    assert f"{model.name}: it was never cross-validated" in caplog.text
    with pytest.raises(BadInput, match="never cross-validated"):
        check_validation([model], ModelSettings(require_validation=True))
