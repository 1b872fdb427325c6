from __future__ import annotations

from bids_shresnet.outputs.model.validation import SpreadCalibration, SpreadGroup
from bids_shresnet.report.figures.uncertainty import draw_calibration
from tests.report.drawings import assert_is_described, assert_is_reproducible


def test_the_figure_is_described_and_reproducible() -> None:
    calibration = SpreadCalibration(0.4, (SpreadGroup(0.01, 0.02), SpreadGroup(0.02, 0.03)))
    drawing = draw_calibration(calibration)
    assert_is_described(drawing)
    assert_is_reproducible(lambda: draw_calibration(calibration))
    assert "Rank correlation over voxels: 0.40" in drawing.caption
