from __future__ import annotations

from bids_shresnet.outputs.model.validation import Coverage, Uncertainty
from bids_shresnet.report.figures.uncertainty import draw_coverage
from tests.report.drawings import assert_is_described, assert_is_reproducible


def test_the_figure_is_described_and_reproducible() -> None:
    coverages = [
        Coverage(
            tissue,
            "FA",
            4,
            1.0,
            coverage_factor_95=1.96,
            within_68=0.7,
            within_95=0.94,
            rank_correlation=correlation,
        )
        for tissue, correlation in (("WM", 0.4), ("GM", 0.6))
    ]
    uncertainty = Uncertainty(tuple(coverages))
    drawing = draw_coverage(uncertainty)
    assert_is_described(drawing)
    assert_is_reproducible(lambda: draw_coverage(uncertainty))
    assert "over voxels: 0.40 to 0.60" in drawing.caption
