from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from bids_shresnet.evaluation.cross_validation import CrossValidation
from bids_shresnet.io.storage import write_tsv
from bids_shresnet.report.figures.subjects import draw_subject_errors
from bids_shresnet.report.group_content import PairReport
from bids_shresnet.report.pair_report import build_pair_report, draw_figures
from tests.report.cross_validations import CALIBRATION, cross_validation, with_agreement


def report_pair(pair: CrossValidation) -> PairReport:
    """Draw the figures of a pair and build its report."""
    subject_errors = draw_subject_errors(pair.rows, pair.method, ())
    return build_pair_report(pair, draw_figures(pair), subject_errors)


@pytest.fixture(autouse=True)
def _coarse_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use few resamples and encode no figure; intervals and figures have tests of their own."""
    monkeypatch.setattr("bids_shresnet.evaluation.statistics.BOOTSTRAP_RESAMPLES", 99)
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: None)


@pytest.mark.slow
def test_a_sweep_over_resblocks_is_shown_where_there_is_one(tmp_path: Path) -> None:
    pair = cross_validation(tmp_path, 4)
    assert report_pair(pair).sweep == ()
    rows = [
        {"resblocks": blocks, "fold": fold, "validation_loss": (blocks + fold) / 1e4}
        for blocks in (1, 2)
        for fold in (1, 2, 3)
    ]
    write_tsv(pair.model.folder / "resblocks.tsv", rows)
    report = report_pair(pair)
    assert [(row.resblocks, row.folds) for row in report.sweep] == [(1, 3), (2, 3)]
    assert report.sweep[1].mean == pytest.approx(100 * (2 + 2) / 1e4)
    assert "resblocks" in [drawing.name for drawing in report.figures["metrics"]]


@pytest.mark.slow
def test_notes_give_the_mean_angles_and_the_relation_of_spread_and_error(tmp_path: Path) -> None:
    pair = replace(cross_validation(tmp_path, 4), uncertainty=CALIBRATION)
    report = report_pair(pair)
    orientation_note = report.notes["before-after"][1]
    assert "20.00 degrees in the input" in orientation_note
    assert "10.00 degrees after" in orientation_note
    (uncertainty_note,) = report.notes["uncertainty"]
    assert "Factor and multiple: 1.10 and 1.96 (signal, white matter)." in uncertainty_note
    assert [drawing.name for drawing in report.figures["uncertainty"]] == ["uncertainty"]


@pytest.mark.slow
def test_a_section_without_figures_says_why(tmp_path: Path) -> None:
    report = report_pair(replace(cross_validation(tmp_path, 4), orientations=()))
    for section in ("before-after", "uncertainty", "training"):
        assert report.figures[section] == []
        assert len(report.notes[section]) == 1
    assert "without storing histograms" in report.notes["before-after"][0]
    assert "does not predict" in report.notes["uncertainty"][0]
    assert "closed form" in report.notes["training"][0]


@pytest.mark.slow
def test_stored_histograms_are_drawn_for_each_quantity_and_then_the_power(tmp_path: Path) -> None:
    report = report_pair(with_agreement(cross_validation(tmp_path, 4)))
    names = [drawing.name for drawing in report.figures["before-after"]]
    assert names == [
        *("jointSignal", "differenceSignal"),
        *("jointFa", "differenceFa"),
        *("jointMd", "differenceMd"),
        "power",
    ]
    assert not any("histograms" in note for note in report.notes["before-after"])
