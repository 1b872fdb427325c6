"""Scans of the small phantom, and a model of constant predictions."""

from __future__ import annotations

from pathlib import Path

import pytest

from bids_shresnet.config import InputSettings, ScannerSettings
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.planning.discover import find_scans
from bids_shresnet.scans import Scan
from tests.harmonization.harmonizing import make_model


@pytest.fixture(scope="session")
def scans(phantom: Path) -> dict[str, Scan]:
    """Source scans by subject."""
    inputs = InputSettings(phantom / "bids")
    inventory = find_scans(inputs, ScannerSettings(), is_identity_required=True)
    return {scan.subject: scan for scan in inventory.scans if scan.entities["session"] == "ge"}


@pytest.fixture
def model(scans: dict[str, Scan], tmp_path: Path) -> Model:
    """Folds 1, 2, 3 hold out 01, 02, 03 and predict 0.4, 0.5, 0.9 everywhere."""
    return make_model(tmp_path / "model", scans["01"])
