"""Checks of trained models before they are applied; a dry run makes them, too."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bids_shresnet.config import ModelSettings
from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.evaluation.validation import unvalidated_reasons
from bids_shresnet.harmonization.check_networks import check_networks
from bids_shresnet.harmonization.options import applicable_method
from bids_shresnet.outputs.model.folder import Model

logger = logging.getLogger(__name__)


def check_models(models: Sequence[Model], settings: ModelSettings) -> None:
    """Check that models are validated, if that is required, and that their networks predict.

    Raises
    ------
    BadInput
        If a model cannot be used.
    """
    check_validation(models, settings)
    for model in models:
        check_networks(model)


def check_validation(models: Sequence[Model], settings: ModelSettings) -> None:
    """Warn about models that are not validated, or refuse them with --require-validation.

    Raises
    ------
    BadInput
        If a model is refused.
    """
    findings: list[Finding] = []
    for model in models:
        method = applicable_method(model, settings.method)
        findings += unvalidated_reasons(model, method)
    if findings and settings.require_validation:
        raise BadInput(findings)
    for finding in findings:
        logger.warning("%s: %s. %s", finding.file, finding.value, finding.remedy)
