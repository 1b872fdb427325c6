from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.errors import Finding
from bids_shresnet.evaluation.agreement import Agreement
from bids_shresnet.evaluation.effects.rows import EffectRow
from bids_shresnet.evaluation.group_means.regional_means import RegionalMean
from bids_shresnet.evaluation.missing_shells import MissingShellResult
from bids_shresnet.evaluation.results import HeldOutResult, Orientation
from bids_shresnet.evaluation.rish_power import RishPower
from bids_shresnet.io.storage import read_json, read_tsv
from bids_shresnet.network.training_loop import Epoch
from bids_shresnet.outputs.described_tables import describe_columns, write_described_table
from bids_shresnet.outputs.runs.history import SCAN_COLUMNS
from bids_shresnet.outputs.runs.run_log import ScanStatus
from bids_shresnet.pairs import RegistrationQuality

ROW_TYPES: dict[str, Any] = {
    "training.tsv": Epoch,
    "heldout.tsv": HeldOutResult,
    "orientation.tsv": Orientation,
    "agreement.tsv": Agreement,
    "regional.tsv": RegionalMean,
    "rish.tsv": RishPower,
    "effects.tsv": EffectRow,
    "missing_shells.tsv": MissingShellResult,
    "registration.tsv": RegistrationQuality,
    "findings.tsv": Finding,
    "status.tsv": ScanStatus,
}


@pytest.mark.parametrize("table", ROW_TYPES)
def test_every_column_of_a_table_can_be_described(table: str) -> None:
    columns = [field.name for field in fields(ROW_TYPES[table])]
    described = describe_columns(table, [*columns, *SCAN_COLUMNS])
    assert all(description["Description"].endswith(".") for description in described.values())


def test_a_description_has_the_columns_of_its_table_in_their_order(tmp_path: Path) -> None:
    rows = [{"subject": "01", "nmse": 0.1}, {"subject": "02", "bias": 0.2}]
    write_described_table(tmp_path / "heldout.tsv", rows, ["fold"])
    (row, _) = read_tsv(tmp_path / "heldout.tsv")
    assert list(read_json(tmp_path / "heldout.json")) == list(row)
    assert list(row) == ["fold", "subject", "nmse", "bias"]


def test_a_column_may_mean_something_else_in_one_table() -> None:
    mean = describe_columns("heldout.tsv", ["mean"])["mean"]["Description"]
    difference = describe_columns("agreement.tsv", ["mean"])["mean"]["Description"]
    assert "minus target" in difference
    assert "minus" not in mean


def test_a_column_without_a_description_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="unheard"):
        write_described_table(tmp_path / "heldout.tsv", [{"unheard": 1}])
    assert list(tmp_path.iterdir()) == []
