from __future__ import annotations

from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.evaluation.comparison import Bias, Comparison
from bids_shresnet.evaluation.cross_validation import CrossValidation
from bids_shresnet.evaluation.group_means.regional_means import RegionalMean
from bids_shresnet.evaluation.group_tables import write_group_tables
from bids_shresnet.io.storage import read_json, read_tsv
from tests.report.cross_validations import cross_validation

NAMES = ("group_harmonization", "group_comparisons", "group_bias", "group_regions")


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bids_shresnet.evaluation.statistics.BOOTSTRAP_RESAMPLES", 99)


def with_regions(pair: CrossValidation) -> CrossValidation:
    """Add a tract in which the input is 10 % too low, and the harmonized scan exact."""
    means = 0.4 + 0.02 * np.arange(6)
    rows = [
        RegionalMean(
            subject=f"{index:02d}",
            fold=1,
            method=method,
            region="Left SLF",
            quantity="FA",
            voxels=50,
            mean=float(factor * mean),
            target_mean=float(mean),
        )
        for (method, factor), (index, mean) in product(
            {"no_harmonization": 0.9, "shresnet": 1.0}.items(), enumerate(means)
        )
    ]
    return replace(pair, regional_means=tuple(rows))


def test_every_column_of_every_table_is_described(tmp_path: Path) -> None:
    write_group_tables(tmp_path, [cross_validation(tmp_path / "models", 6)])
    for name in NAMES:
        rows = read_tsv(tmp_path / f"{name}.tsv")
        description = read_json(tmp_path / f"{name}.json")
        assert rows
        assert list(rows[0]) == [key for key in description if key != "Pairs"]
        assert all(description[column]["Description"] for column in rows[0])


def test_comparisons_and_biases_are_those_of_the_cross_validation(tmp_path: Path) -> None:
    pair = cross_validation(tmp_path / "models", 6)
    write_group_tables(tmp_path, [pair])
    tables: dict[str, tuple[Bias | Comparison, ...]] = {
        "group_comparisons": pair.comparisons,
        "group_bias": pair.biases,
    }
    for name, records in tables.items():
        rows = read_tsv(tmp_path / f"{name}.tsv")
        for row, record in zip(rows, records, strict=True):
            known = asdict(record)
            low, high = known.pop("interval")
            expected = known | {"interval_low": low, "interval_high": high}
            assert row.pop("pair") == pair.model.name
            assert row == {key: str(value) for key, value in expected.items()}


def test_the_undefined_intervals_of_two_subjects_are_not_available(tmp_path: Path) -> None:
    write_group_tables(tmp_path, [cross_validation(tmp_path / "models", 2)])
    rows = read_tsv(tmp_path / "group_comparisons.tsv")
    assert {row["interval_low"] for row in rows} == {"n/a"}
    assert all(float(row["p"]) > 0 for row in rows)


def test_a_region_of_the_parcellation_has_bias_icc_and_detectable_change(tmp_path: Path) -> None:
    write_group_tables(tmp_path, [with_regions(cross_validation(tmp_path / "models", 6))])
    rows = read_tsv(tmp_path / "group_regions.tsv")
    before, after = (row for row in rows if row["region"] == "Left SLF")
    assert {row["region"] for row in rows} == {"WM", "GM", "Left SLF"}
    assert (before["method"], after["method"]) == ("no_harmonization", "shresnet")
    assert float(before["bias"]) == pytest.approx(-0.1)
    assert float(after["bias"]) == pytest.approx(0, abs=1e-12)
    assert float(after["icc"]) == pytest.approx(1)
    assert float(before["icc"]) < 0.9
    assert float(after["detectable_change"]) == pytest.approx(0, abs=1e-12)
