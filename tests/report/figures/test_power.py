from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from bids_shresnet.report.figures.power import draw_group_power, draw_subject_power
from bids_shresnet.report.style import Drawing
from bids_shresnet.scans import Shell
from tests.held_out import powers
from tests.report.drawings import assert_is_described, assert_is_reproducible, svg_texts

pytestmark = pytest.mark.slow
REGIONS = ("White matter", "Grey matter")
SHELLS = (Shell(1000.0, 4), Shell(2000.0, 2))
ORDERS_PER_REGION = 5  # 0, 2 and 4 of one shell, 0 and 2 of the other


@cache
def subject_drawing(*states: str) -> Drawing:
    spectrum = np.tile(10.0 ** -np.arange(ORDERS_PER_REGION), (20, 1))
    regions = dict.fromkeys(REGIONS, dict.fromkeys(states, spectrum))
    return draw_subject_power(regions, SHELLS, "shresnet", where="in the voxels", remark="Remark.")


@cache
def group_drawing() -> Drawing:
    return draw_group_power(powers(), "shresnet")


def test_a_figure_is_described_and_reproducible() -> None:
    assert_is_reproducible(lambda: draw_group_power(powers(), "shresnet"))
    for drawing in (group_drawing(), subject_drawing("before", "after")):
        assert_is_described(drawing)
        assert "White matter and Grey matter: before, after" in drawing.alt


def test_a_subject_has_a_row_per_shell_and_region_and_a_panel_per_order() -> None:
    texts = svg_texts(subject_drawing("before", "after", "target"))
    assert [texts.count(f"order {order}") for order in (0, 2, 4)] == [4, 4, 2]
    assert [texts.count(f"b = {bvalue}") for bvalue in (1000, 2000)] == [2, 2]
    assert [texts.count(region) for region in REGIONS] == [2, 2]
    assert "power, (S/S0)²" in texts


def test_a_group_has_a_row_per_tissue_and_a_panel_per_order() -> None:
    texts = svg_texts(group_drawing())
    assert [texts.count(f"order {order}") for order in (0, 2)] == [2, 2]
    assert [texts.count(region) for region in REGIONS] == [1, 1]
    assert "power, (S/S0)²" in texts


def test_every_panel_names_before_and_after_and_the_target_if_it_was_measured() -> None:
    states = ("before", "after", "target")
    subject_texts = svg_texts(subject_drawing(*states))
    group_texts = svg_texts(group_drawing())
    assert [subject_texts.count(state) for state in states] == [
        len(REGIONS) * ORDERS_PER_REGION
    ] * 3
    assert [group_texts.count(state) for state in states] == [4] * 3
    assert "target" not in svg_texts(subject_drawing("before", "after"))


def test_a_missing_tissue_has_no_row_and_a_missing_state_of_a_subject_is_allowed() -> None:
    white_matter = [row for row in powers() if row.tissue == "WM"]
    rows = [row for row in white_matter if (row.subject, row.method) != ("01", "target")]
    texts = svg_texts(draw_group_power(rows, "shresnet"))
    assert "White matter" in texts
    assert "Grey matter" not in texts
