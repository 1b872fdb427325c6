from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from bids_shresnet.evaluation.agreement import SCAN_STATES, AgreementLimits, JointDistribution
from bids_shresnet.evaluation.histograms import HISTOGRAM_BINS, Histograms
from bids_shresnet.report.figures.agreement import draw_differences, draw_joint_histograms
from bids_shresnet.report.figures.agreement_data import (
    AgreementData,
    group_agreement,
    voxel_agreement,
)
from bids_shresnet.report.page import MINUS
from bids_shresnet.report.style import Drawing
from tests.held_out import SUBJECTS, agreements, histograms
from tests.report.drawings import assert_is_described, assert_is_reproducible, png_pixels, svg_texts

pytestmark = pytest.mark.slow
DRAW_FUNCTIONS = (draw_joint_histograms, draw_differences)
DrawFunction = Callable[[AgreementData], Drawing]


def subject_agreement(quantity: str = "FA") -> AgreementData:
    """A tenth of the range too high before, and correct after."""
    unit = 1e-3 if quantity == "MD" else 1.0
    target = unit * np.random.default_rng(0).uniform(0.2, 0.8, 500)
    values = {"before": target + 0.1 * unit, "after": target, "target": target}
    regions = dict.fromkeys(("White matter", "Grey matter"), values)
    return voxel_agreement(regions, quantity, "in the voxels", "Remark.")


def all_subjects_agreement(quantity: str = "FA") -> AgreementData:
    return group_agreement(histograms(), agreements(), quantity)


DATA: dict[str, Callable[[str], AgreementData]] = {
    "subject": subject_agreement,
    "group": all_subjects_agreement,
}


@cache
def drawing(draw: DrawFunction, report: str, quantity: str) -> Drawing:
    """A figure, drawn once for all tests."""
    return draw(DATA[report](quantity))


@pytest.mark.parametrize("report", DATA)
@pytest.mark.parametrize("draw", DRAW_FUNCTIONS)
def test_a_figure_is_described_and_reproducible(draw: DrawFunction, report: str) -> None:
    assert_is_reproducible(lambda: draw(DATA[report]("FA")))
    assert_is_described(drawing(draw, report, "FA"))
    assert "White matter and Grey matter" in drawing(draw, report, "FA").alt


@pytest.mark.parametrize("report", DATA)
@pytest.mark.parametrize(
    ("draw", "labels"),
    [
        (draw_joint_histograms, {"target, MD (10⁻³ mm²/s)", "source, MD (10⁻³ mm²/s)"}),
        (
            draw_differences,
            {
                "mean of source and target, MD (10⁻³ mm²/s)",
                f"source {MINUS} target, MD (10⁻³ mm²/s)",
            },
        ),
    ],
)
def test_axes_have_units_and_panels_name_region_and_state(
    draw: DrawFunction, labels: set[str], report: str
) -> None:
    panels = {f"{tissue} matter, {state}" for tissue in ("White", "Grey") for state in SCAN_STATES}
    assert panels | labels <= set(svg_texts(drawing(draw, report, "MD")))


@pytest.mark.parametrize("quantity", ["FA", "MD"])
def test_limits_and_correlations_are_written_in_the_units_of_the_axes(quantity: str) -> None:
    texts = svg_texts(drawing(draw_differences, "subject", quantity))
    assert texts.count("+0.100 (+0.100 to +0.100)") == 2  # before, in two regions
    assert texts.count("+0.000 (+0.000 to +0.000)") == 2  # after
    assert svg_texts(drawing(draw_joint_histograms, "subject", quantity)).count("r = 1.00") == 4


def test_the_limits_of_a_group_are_those_of_the_mean_subject() -> None:
    texts = svg_texts(drawing(draw_differences, "group", "FA"))
    assert texts.count("+0.300 (+0.202 to +0.398)") == 2
    assert texts.count("+0.030 (+0.020 to +0.040)") == 2


@pytest.mark.parametrize("draw", DRAW_FUNCTIONS)
def test_exchanged_states_give_another_picture(draw: DrawFunction) -> None:
    data = subject_agreement()
    other_state = {"before": "after", "after": "before"}
    exchanged = AgreementData(
        quantity=data.quantity,
        edges=data.edges,
        distributions={
            (region, other_state[state]): distribution
            for (region, state), distribution in data.distributions.items()
        },
        where=data.where,
        remark=data.remark,
    )
    pixels = png_pixels(draw(data).png)
    exchanged_pixels = png_pixels(draw(exchanged).png)
    assert pixels.shape == exchanged_pixels.shape
    assert (pixels != exchanged_pixels).any()


@pytest.mark.parametrize("draw", DRAW_FUNCTIONS)
def test_a_tissue_without_voxels_is_drawn_empty_without_a_warning(draw: DrawFunction) -> None:
    empty = Histograms(np.zeros_like(histograms().counts), SUBJECTS)
    assert "White matter, before" in svg_texts(draw(group_agreement(empty, [], "FA")))


def test_one_outlier_does_not_set_the_scale_of_a_panel() -> None:
    counts = np.zeros((HISTOGRAM_BINS, HISTOGRAM_BINS), np.int64)
    counts[20:30, 20:30] = 100  # FA 0.33 to 0.5
    with_outlier = counts.copy()
    with_outlier[0, -1] = 1
    assert axis_ticks(counts) == axis_ticks(with_outlier)


def axis_ticks(counts: np.ndarray) -> set[str]:
    """Ticks of the plot of differences of one histogram."""
    distribution = JointDistribution(counts, AgreementLimits(0.0, 0.0, 0.0))
    distributions = {("White matter", state): distribution for state in SCAN_STATES}
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    figure = draw_differences(AgreementData("FA", edges, distributions, "", ""))
    return {text for text in svg_texts(figure) if text[-1:].isdigit()}
