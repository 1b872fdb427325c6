from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from itertools import product

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread

from bids_shresnet.evaluation.statistics import (
    QUANTITIES,
    TISSUES,
    Comparison,
    HeldOutResult,
    compare_methods,
    summarize_bias,
)
from bids_shresnet.report.figures.errors import (
    DEFAULT_BETTER_MARK,
    draw_biases,
    draw_errors,
    significance_stars,
)
from bids_shresnet.report.figures.resblocks import draw_sweep, sweep_table
from bids_shresnet.report.style import METHOD_LABELS, Drawing, box_style, method_label, sort_methods
from tests.drawings import texts

pytestmark = pytest.mark.slow

SUBJECTS = 10
ERRORS = {
    "shresnet": 0.01,
    "order_gain": 0.1,
    "no_harmonization": 0.04,
    "combat_mean": 0.03,
    "a & <b>": 0.02,
}
LOSSES = {
    1: (0.004, 0.006),
    2: (0.001, 0.003),
    3: (0.005,),
}  # validation MSE by number of ResBlocks


def heldout() -> list[HeldOutResult]:
    """Every method is as good as `ERRORS` says in all subjects and places, up to 5 %."""
    rng = np.random.default_rng(0)
    return [
        HeldOutResult(f"{k}", k, method, tissue, quantity, error * rng.uniform(0.95, 1.05), error)
        for (method, error), tissue, quantity, k in product(
            ERRORS.items(), TISSUES, QUANTITIES, range(SUBJECTS)
        )
    ]


def comparisons() -> tuple[Comparison, ...]:
    ours = compare_methods(
        heldout(), "shresnet", [method for method in ERRORS if method != "shresnet"]
    )
    return ours + compare_methods(heldout(), "order_gain", ["no_harmonization"])


def errors() -> Drawing:
    return draw_errors(heldout(), comparisons(), "FA")


def bias() -> Drawing:
    return draw_biases(summarize_bias(heldout()))


def trials() -> list[dict[str, int | float]]:
    """Rows of `LOSSES`."""
    return [
        {"resblocks": resblocks, "fold": fold, "validation_loss": loss}
        for resblocks, losses in LOSSES.items()
        for fold, loss in enumerate(losses)
    ]


def sweep() -> Drawing:
    return draw_sweep(trials())


@pytest.mark.parametrize("figure", [errors, bias, sweep])
def test_a_figure_is_the_same_bytes_every_time_whatever_the_users_settings(
    figure: Callable[[], Drawing],
) -> None:
    first = figure()
    with mpl.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.facecolor": "red"}):
        second = figure()
    assert second == first
    assert imread(BytesIO(first.png)).shape[1] >= 800
    assert not re.search(rb"<dc:date>", first.svg)


@pytest.mark.parametrize("figure", [errors, bias, sweep])
def test_drawing_leaves_the_settings_of_the_process_as_they_were(
    figure: Callable[[], Drawing],
) -> None:
    before = dict(mpl.rcParams)
    figure()
    assert dict(mpl.rcParams) == before


def test_methods_are_named_in_their_usual_order_and_unknown_ones_last() -> None:
    drawn = [
        method_label(name) for name in ("no_harmonization", "order_gain", "shresnet", "a & <b>")
    ]
    assert [text for text in texts(errors()) if text in drawn] == 2 * drawn  # two panels
    assert sort_methods(["x", "shresnet", "no_harmonization", "x"]) == (
        "no_harmonization",
        "shresnet",
        "x",
    )
    assert sort_methods(reversed(METHOD_LABELS)) == tuple(METHOD_LABELS)


def test_a_method_without_voxels_is_in_the_figure_of_the_bias_only() -> None:
    assert method_label("combat_mean") not in texts(errors())
    assert method_label("combat_mean") in texts(bias())


def test_stars_tell_direction_and_size_and_a_mark_whom_the_default_beats() -> None:
    marks = [text for text in texts(errors()) if text in (DEFAULT_BETTER_MARK, "↓*", "↑*")]
    panel = [
        DEFAULT_BETTER_MARK,
        DEFAULT_BETTER_MARK,
        "↑*",
        "↓*",
        DEFAULT_BETTER_MARK,
    ]  # nothing; order_gain, worse than it; the default; the unknown one
    assert sorted(marks) == sorted(2 * panel)  # 10 subjects: p = .002, six times that .012


def test_stars_are_of_p_adjusted_for_the_places_in_which_two_methods_are_compared() -> None:
    """With six subjects the smallest p is .031: of one place it has a star, of six none."""
    rows = [row for row in heldout() if row.subject < "6"]
    six = texts(draw_errors(rows, compare_methods(rows, "shresnet", ["no_harmonization"]), "FA"))
    one = [row for row in rows if (row.tissue, row.quantity) == ("WM", "FA")]
    assert "↓*" in texts(
        draw_errors(one, compare_methods(one, "shresnet", ["no_harmonization"]), "FA")
    )
    assert "↓*" not in six
    assert six.count("n.s.") == 2


@pytest.mark.parametrize(
    ("p", "mark"), [(0.05, "n.s."), (0.049, "*"), (0.0099, "**"), (0.00099, "***"), (1.0, "n.s.")]
)
def test_stars_are_those_of_the_papers_figures(p: float, mark: str) -> None:
    assert significance_stars(p) == mark


def test_axes_have_units() -> None:
    assert "NMSE of FA (no unit)" in texts(errors())
    assert texts(bias()).count("site bias (%)") == 3


def test_groups_of_methods_differ_in_grey() -> None:
    def grey(name: str) -> tuple[float, str]:
        red, green, blue = mpl.colors.to_rgb(box_style(name)["facecolor"])
        return (0.299 * red + 0.587 * green + 0.114 * blue, box_style(name)["hatch"])

    groups = [
        grey(name)
        for name in ("no_harmonization", "order_gain", "shresnet_uncalibrated", "shresnet")
    ]
    for (one, hatch), (other, other_hatch) in (
        (a, b) for i, a in enumerate(groups) for b in groups[:i]
    ):
        assert abs(one - other) > 0.25 or hatch != other_hatch


def test_a_method_with_two_subjects_or_none_in_a_tissue_is_drawn_without_a_warning() -> None:
    rows = [
        r
        for r in heldout()
        if r.subject in ("0", "1") and not (r.method == "order_gain" and r.tissue == "GM")
    ]
    assert method_label("order_gain") in texts(
        draw_errors(rows, compare_methods(rows, "shresnet", ["no_harmonization"]), "MD")
    )
    assert method_label("order_gain") in texts(draw_biases(summarize_bias(rows)))


def test_the_sweep_has_means_and_standard_deviations_times_100() -> None:
    one, two, three = sweep_table(trials()[::-1])
    assert (one.resblocks, one.folds, one.mean, one.standard_deviation) == pytest.approx(
        (1, 2, 0.5, np.sqrt(2) / 10)
    )
    assert (two.mean, three.mean) == pytest.approx((0.2, 0.5))
    assert np.isnan(three.standard_deviation)
    assert "at 2;" in sweep().caption
