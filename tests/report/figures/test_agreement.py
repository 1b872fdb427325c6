from __future__ import annotations

from collections.abc import Callable
from functools import cache
from io import BytesIO
from itertools import product

import numpy as np
import pytest
from matplotlib.image import imread

from bids_shresnet.evaluation.agreement import (
    HISTOGRAM_BINS,
    SCAN_STATES,
    Histograms,
    JointDistribution,
)
from bids_shresnet.report.figures.agreement import draw_differences, draw_joint_histograms
from bids_shresnet.report.figures.agreement_data import (
    AgreementData,
    group_agreement,
    voxel_agreement,
)
from bids_shresnet.report.style import Drawing
from tests.drawings import texts
from tests.held_out import SUBJECTS, agreements, histograms

pytestmark = pytest.mark.slow

DRAW = (draw_joint_histograms, draw_differences)


def subject(
    quantity: str = "FA", regions: tuple[str, ...] = ("White matter", "Grey matter")
) -> AgreementData:
    """A tenth too high before, right after."""
    unit = 1e-3 if quantity == "MD" else 1.0
    target = unit * np.random.default_rng(0).uniform(0.2, 0.8, 500)
    values = {"before": target + 0.1 * unit, "after": target, "target": target}
    return voxel_agreement(dict.fromkeys(regions, values), quantity, "in the voxels", "Remark.")


COMPARED: dict[str, Callable[[str], AgreementData]] = {
    "subject": subject,
    "group": lambda quantity: group_agreement(histograms(), agreements(), quantity),
}


@cache
def drawn(draw: Callable[[AgreementData], Drawing], page: str, quantity: str) -> Drawing:
    """A figure, drawn once for all tests."""
    return draw(COMPARED[page](quantity))


@pytest.mark.parametrize(("draw", "page"), list(product(DRAW, COMPARED)))
def test_a_figure_is_the_same_bytes_every_time_and_says_what_it_shows(
    draw: Callable[[AgreementData], Drawing], page: str
) -> None:
    made = drawn(draw, page, "FA")
    assert made == draw(COMPARED[page]("FA"))
    assert made.png.startswith(b"\x89PNG")
    assert len(made.caption) > len(made.alt) > 20
    assert "White matter and Grey matter" in made.alt


@pytest.mark.parametrize("page", COMPARED)
def test_axes_have_units_and_panels_say_region_and_state(page: str) -> None:
    panels = {f"{tissue} matter, {state}" for tissue in ("White", "Grey") for state in SCAN_STATES}
    joint, difference = (set(texts(drawn(draw, page, "MD"))) for draw in DRAW)
    assert panels | {"target, MD (10⁻³ mm²/s)", "source, MD (10⁻³ mm²/s)"} <= joint
    assert (
        panels
        | {
            "mean of source and target, MD (10⁻³ mm²/s)",
            "source \N{MINUS SIGN} target, MD (10⁻³ mm²/s)",
        }
        <= difference
    )


@pytest.mark.parametrize("quantity", ["FA", "MD"])
def test_differences_and_limits_are_written_in_the_units_of_the_axes(quantity: str) -> None:
    found = texts(drawn(draw_differences, "subject", quantity))
    assert found.count("+0.100 (+0.100 to +0.100)") == 2  # before, in two regions
    assert found.count("+0.000 (+0.000 to +0.000)") == 2  # after
    assert texts(drawn(draw_joint_histograms, "subject", quantity)).count("r = 1.00") == 4


def test_of_a_group_the_limits_are_those_of_the_mean_subject() -> None:
    found = texts(drawn(draw_differences, "group", "FA"))
    assert found.count("+0.300 (+0.202 to +0.398)") == 2
    assert found.count("+0.030 (+0.020 to +0.040)") == 2


@pytest.mark.parametrize("draw", DRAW)
def test_values_that_lie_elsewhere_give_another_picture(
    draw: Callable[[AgreementData], Drawing],
) -> None:
    made = subject()
    swapped = {
        (region, SCAN_STATES[state == "before"]): one
        for (region, state), one in made.distributions.items()
    }
    other = draw(AgreementData(made.quantity, made.edges, swapped, made.where, made.remark))
    one, two = (imread(BytesIO(drawing.png)) for drawing in (draw(made), other))
    assert one.shape == two.shape
    assert (one != two).any()


@pytest.mark.parametrize("draw", DRAW)
def test_a_tissue_that_nobody_has_is_drawn_empty_without_a_warning(
    draw: Callable[[AgreementData], Drawing],
) -> None:
    none = Histograms(np.zeros_like(histograms().counts), SUBJECTS)
    assert "White matter, before" in texts(draw(group_agreement(none, [], "FA")))


def test_one_odd_value_does_not_set_the_scale_of_a_panel() -> None:
    counts = np.zeros((HISTOGRAM_BINS, HISTOGRAM_BINS), np.int64)
    counts[20:30, 20:30] = 100  # FA 0.33 to 0.5
    alone = {
        ("White matter", state): JointDistribution(counts, (0.0, 0.0, 0.0)) for state in SCAN_STATES
    }
    counts_and_one = counts.copy()
    counts_and_one[0, -1] = 1
    odd = {place: JointDistribution(counts_and_one, (0.0, 0.0, 0.0)) for place in alone}
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    ticks = [
        {
            text
            for text in texts(draw_differences(AgreementData("FA", edges, clouds, "", "")))
            if text[-1:].isdigit()
        }
        for clouds in (alone, odd)
    ]
    assert ticks[0] == ticks[1]
