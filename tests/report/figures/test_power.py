from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from bids_shresnet.report.figures.power import draw_group_power, draw_subject_power
from bids_shresnet.report.style import Drawing
from bids_shresnet.scans import Shell
from tests.drawings import texts
from tests.held_out import powers

pytestmark = pytest.mark.slow

REGIONS = ("White matter", "Grey matter")
SHELLS = (Shell(1000.0, 4), Shell(2000.0, 2))


@cache
def of_subject(*states: str) -> Drawing:
    spectrum = 10.0 ** -np.arange(5)[None] * np.ones(
        (20, 1)
    )  # orders 0, 2, 4 of one shell and 0, 2 of the other
    by_state = dict.fromkeys(states, spectrum)
    found = dict.fromkeys(REGIONS, by_state)
    return draw_subject_power(found, SHELLS, "shresnet", where="in the voxels", remark="Remark.")


def test_a_figure_is_the_same_bytes_every_time_and_says_what_it_shows() -> None:
    of_group = draw_group_power(powers(), "shresnet")
    assert of_group == draw_group_power(powers(), "shresnet")
    for made in (of_group, of_subject("before", "after")):
        assert len(made.caption) > len(made.alt) > 20
        assert "White matter and Grey matter: before, after" in made.alt


def test_there_is_a_panel_for_every_order_that_a_shell_has_and_a_row_a_shell_and_region() -> None:
    found = texts(of_subject("before", "after", "target"))
    assert [found.count(f"order {order}") for order in (0, 2, 4)] == [4, 4, 2]
    assert [found.count(f"b = {bvalue}") for bvalue in (1000, 2000)] == [2, 2]
    assert [found.count(region) for region in REGIONS] == [2, 2]
    of_group = texts(draw_group_power(powers(), "shresnet"))
    assert [of_group.count(f"order {order}") for order in (0, 2)] == [2, 2]
    assert [of_group.count(region) for region in REGIONS] == [1, 1]
    for drawn in (found, of_group):
        assert "power, (S/S0)²" in drawn


def test_every_panel_names_before_after_and_the_target_where_it_was_measured() -> None:
    for found, panels in (
        (texts(of_subject("before", "after", "target")), 10),
        (texts(draw_group_power(powers(), "shresnet")), 4),
    ):
        assert [found.count(name) for name in ("before", "after", "target")] == [panels] * 3
    assert "target" not in texts(of_subject("before", "after"))


def test_a_tissue_that_nobody_has_is_left_out_and_a_subject_that_lacks_a_state_does_no_harm() -> (
    None
):
    white = [
        row
        for row in powers()
        if row.tissue == "WM" and (row.subject, row.method) != ("01", "target")
    ]
    found = texts(draw_group_power(white, "shresnet"))
    assert "White matter" in found
    assert "Grey matter" not in found
