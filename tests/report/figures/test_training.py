from __future__ import annotations

from pathlib import Path

import pytest

from bids_shresnet.io.storage import write_tsv
from bids_shresnet.report.figures.training import TrainingCurve, draw_training_curves, read_curves
from tests.report.drawings import assert_is_described, assert_is_reproducible

CURVES = (
    TrainingCurve(
        fold=1,
        epochs=(0, 1, 2, 3),
        stages=("adam", "adam", "sgd", "sgd"),
        training=(4e-3, 3e-3, 2e-3, 1e-3),
        validation=(5e-3, 3e-3, 2e-3, 4e-3),
        best_index=2,
    ),
    TrainingCurve(
        fold=2,
        epochs=(0, 1),
        stages=("adam", "adam"),
        training=(4e-3, 3e-3),
        validation=(5e-3, 3e-3),
        best_index=1,
    ),
)


def training_rows(curve: TrainingCurve) -> list[dict[str, object]]:
    return [
        {
            "fold": curve.fold,
            "epoch": epoch,
            "stage": curve.stages[index],
            "learning_rate": 1,
            "training_loss": curve.training[index],
            "validation_loss": curve.validation[index],
        }
        for index, epoch in enumerate(curve.epochs)
    ]


@pytest.mark.slow
def test_the_figure_is_described_and_reproducible() -> None:
    assert_is_reproducible(lambda: draw_training_curves(CURVES))
    assert_is_described(draw_training_curves(CURVES))


def test_curves_are_read_with_the_epoch_that_was_kept(tmp_path: Path) -> None:
    rows = [row for curve in CURVES for row in training_rows(curve)]
    write_tsv(tmp_path / "training.tsv", rows)
    assert read_curves(tmp_path / "training.tsv", (2, 1)) == CURVES


@pytest.mark.slow
def test_the_change_of_stage_is_known_and_named() -> None:
    assert [curve.stage_changes for curve in CURVES] == [(2,), ()]
    assert "change from adam to sgd" in draw_training_curves(CURVES).caption
    assert "only one stage" in draw_training_curves(CURVES[1:]).caption


def test_a_method_in_closed_form_has_no_curves(tmp_path: Path) -> None:
    assert read_curves(tmp_path / "training.tsv", (None,)) == ()
    write_tsv(tmp_path / "training.tsv", [], ["fold", "epoch"])
    assert read_curves(tmp_path / "training.tsv", (None,)) == ()
