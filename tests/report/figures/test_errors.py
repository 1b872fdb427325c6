from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest

from bids_shresnet.evaluation.comparison import Comparison, compare_methods, summarize_bias
from bids_shresnet.evaluation.results import QUANTITIES, TISSUES, HeldOutResult
from bids_shresnet.report.figures.errors import (
    DEFAULT_BETTER_MARK,
    draw_biases,
    draw_errors,
    significance_stars,
)
from bids_shresnet.report.style import Drawing, method_label
from bids_shresnet.settings import NO_HARMONIZATION
from tests.report.drawings import assert_is_described, assert_is_reproducible, svg_texts

pytestmark = pytest.mark.slow
SUBJECT_COUNT = 10
ERRORS = {
    "shresnet": 0.01,
    "order_gain": 0.1,
    NO_HARMONIZATION: 0.04,
    "combat_mean": 0.03,
    "a & <b>": 0.02,
}


def held_out_results() -> list[HeldOutResult]:
    """Errors of each method in all subjects, tissues and quantities, up to 5 % off `ERRORS`."""
    rng = np.random.default_rng(0)
    return [
        HeldOutResult(
            subject=f"{number}",
            fold=number,
            method=method,
            tissue=tissue,
            quantity=quantity,
            places="all",
            nmse=ERRORS[method] * rng.uniform(0.95, 1.05),
            bias=ERRORS[method],
            mean=1 + ERRORS[method],
            target_mean=1.0,
        )
        for method, tissue, quantity, number in product(
            ERRORS, TISSUES, QUANTITIES, range(SUBJECT_COUNT)
        )
    ]


def comparisons() -> tuple[Comparison, ...]:
    baselines = [method for method in ERRORS if method != "shresnet"]
    return (
        *compare_methods(held_out_results(), "shresnet", baselines),
        *compare_methods(held_out_results(), "order_gain", [NO_HARMONIZATION]),
    )


@cache
def error_drawing() -> Drawing:
    return draw_errors(held_out_results(), comparisons(), "FA")


@cache
def bias_drawing() -> Drawing:
    return draw_biases(summarize_bias(held_out_results()))


def test_figures_are_described_and_reproducible() -> None:
    assert_is_reproducible(lambda: draw_errors(held_out_results(), comparisons(), "FA"))
    assert_is_reproducible(lambda: draw_biases(summarize_bias(held_out_results())))
    assert_is_described(error_drawing())
    assert_is_described(bias_drawing())


def test_each_panel_names_the_methods_in_order_and_unknown_ones_last() -> None:
    methods = (NO_HARMONIZATION, "order_gain", "shresnet", "a & <b>")
    labels = [method_label(method) for method in methods]
    texts = svg_texts(error_drawing())
    assert [text for text in texts if text in labels] == 2 * labels


def test_a_method_without_voxels_is_in_the_figure_of_the_bias_only() -> None:
    label = method_label("combat_mean")
    assert label not in svg_texts(error_drawing())
    assert label in svg_texts(bias_drawing())


def test_stars_show_direction_and_size_and_a_mark_the_methods_that_the_default_beats() -> None:
    """With 10 subjects p is .001, and .006 adjusted for six endpoints."""
    possible_marks = (DEFAULT_BETTER_MARK, "**")
    marks = [text for text in svg_texts(error_drawing()) if text in possible_marks]
    panel_marks = [
        DEFAULT_BETTER_MARK,  # no harmonization
        DEFAULT_BETTER_MARK,  # order_gain, which is worse than no harmonization
        "**",  # the default method
        DEFAULT_BETTER_MARK,  # the unknown method
    ]
    assert sorted(marks) == sorted(2 * panel_marks)


def test_p_is_adjusted_for_the_endpoints_in_which_two_methods_are_compared() -> None:
    """With six subjects the smallest p is .016: it is significant in one endpoint, not in six."""
    rows = [row for row in held_out_results() if row.subject < "6"]
    one_endpoint = [row for row in rows if (row.tissue, row.quantity) == ("WM", "FA")]
    texts = svg_texts(draw_errors(rows, default_comparison(rows), "FA"))
    assert "*" in svg_texts(draw_errors(one_endpoint, default_comparison(one_endpoint), "FA"))
    assert "*" not in texts
    assert texts.count("n.s.") == 2


def test_so_few_subjects_that_no_p_is_small_have_no_stars() -> None:
    rows = [row for row in held_out_results() if row.subject < "4"]
    texts = svg_texts(draw_errors(rows, default_comparison(rows), "FA"))
    assert texts.count("n/a") == 2  # one per tissue
    assert "n.s." not in texts


def default_comparison(rows: list[HeldOutResult]) -> tuple[Comparison, ...]:
    return compare_methods(rows, "shresnet", [NO_HARMONIZATION])


@pytest.mark.parametrize(
    ("p", "stars"), [(0.05, "n.s."), (0.049, "*"), (0.0099, "**"), (0.00099, "***"), (1.0, "n.s.")]
)
def test_stars_are_those_of_the_papers_figures(p: float, stars: str) -> None:
    assert significance_stars(p) == stars


def test_axes_have_units() -> None:
    assert "NMSE of FA" in svg_texts(error_drawing())
    assert svg_texts(bias_drawing()).count("site bias (%)") == 3


def test_a_method_with_few_subjects_or_none_in_a_tissue_is_drawn_without_a_warning() -> None:
    rows = [row for row in held_out_results() if row.subject in ("0", "1")]
    rows = [row for row in rows if (row.method, row.tissue) != ("order_gain", "GM")]
    label = method_label("order_gain")
    assert label in svg_texts(draw_errors(rows, default_comparison(rows), "MD"))
    assert label in svg_texts(draw_biases(summarize_bias(rows)))
