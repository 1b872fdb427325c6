from __future__ import annotations

from itertools import combinations

import matplotlib as mpl
import pytest

from bids_shresnet.report.style import METHOD_LABELS, box_style, sort_methods
from bids_shresnet.settings import NO_HARMONIZATION

METHODS_OF_EACH_GROUP = (NO_HARMONIZATION, "order_gain", "shresnet_uncalibrated", "shresnet")


def test_methods_are_sorted_as_in_all_tables_and_unknown_ones_come_last() -> None:
    methods = ["x", "shresnet", NO_HARMONIZATION, "x"]
    assert sort_methods(methods) == (NO_HARMONIZATION, "shresnet", "x")
    assert sort_methods(list(METHOD_LABELS)[::-1]) == tuple(METHOD_LABELS)


@pytest.mark.parametrize(("first", "second"), list(combinations(METHODS_OF_EACH_GROUP, 2)))
def test_groups_of_methods_differ_in_grey(first: str, second: str) -> None:
    has_other_hatch = box_style(first)["hatch"] != box_style(second)["hatch"]
    assert abs(luminance(first) - luminance(second)) > 0.25 or has_other_hatch


def luminance(method: str) -> float:
    red, green, blue = mpl.colors.to_rgb(box_style(method)["facecolor"])
    return 0.299 * red + 0.587 * green + 0.114 * blue
