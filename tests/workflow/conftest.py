"""Three scans of one scanner, a model for it, and an output with a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bids_shresnet.config import InputSettings, ScannerSettings
from bids_shresnet.outputs.dataset import prepare_root
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.outputs.runs.run_log import Run, finish_run, start_run
from bids_shresnet.planning.discover import find_scans
from bids_shresnet.scans import Scan
from tests.datasets import GE, travelling_heads
from tests.models import constant_model


@pytest.fixture
def scans(tmp_path: Path) -> tuple[Scan, ...]:
    root = travelling_heads(tmp_path / "bids", dict.fromkeys(("01", "02", "03"), (GE,)))
    inputs = InputSettings(root)
    return find_scans(inputs, ScannerSettings(), is_identity_required=False).scans


@pytest.fixture
def model(scans: tuple[Scan, ...], tmp_path: Path) -> Model:
    return constant_model(tmp_path / "model", scans[0].dataset, source=scans[0].scanner_label)


@pytest.fixture
def this_run(scans: tuple[Scan, ...], tmp_path: Path) -> Iterator[Run]:
    root = tmp_path / "out"
    prepare_root(root, {"raw": scans[0].dataset})
    run = start_run(root, {}, ["shresnet"])
    yield run
    finish_run(run)
