from __future__ import annotations

import re
from itertools import product

import pytest

from bids_shresnet.evaluation.results import QUANTITIES, TISSUES, HeldOutResult
from bids_shresnet.report.figures.subjects import draw_subject_errors
from bids_shresnet.report.style import Drawing, inline_svg
from tests.held_out import METHODS, SUBJECTS
from tests.report.drawings import assert_is_described, assert_is_reproducible


def held_out_results() -> list[HeldOutResult]:
    return [
        HeldOutResult(subject, 1, method, tissue, quantity, "all", 0.1, 0.1, 1.1, 1.0)
        for subject, method, tissue, quantity in product(SUBJECTS, METHODS, TISSUES, QUANTITIES)
    ]


def subject_drawing() -> Drawing:
    return draw_subject_errors(held_out_results(), "shresnet", {"sub-02.html"})


@pytest.mark.slow
def test_the_figure_is_described_and_reproducible() -> None:
    assert_is_reproducible(subject_drawing)
    assert_is_described(subject_drawing())


@pytest.mark.slow
def test_the_points_of_subjects_with_a_report_are_links_and_no_others() -> None:
    links = re.findall(rb'xlink:href="([^#"]+)"', subject_drawing().svg)
    assert set(links) == {b"../sub-02.html"}
    assert len(links) == 2 * len(TISSUES) * len(QUANTITIES)  # before and after in every panel


@pytest.mark.slow
def test_the_caption_says_if_there_are_no_reports() -> None:
    assert (
        "There were no reports" in draw_subject_errors(held_out_results(), "shresnet", ()).caption
    )


@pytest.mark.slow
def test_an_svg_in_a_page_has_its_own_ids_and_links_from_there() -> None:
    drawing = subject_drawing()
    svgs = [inline_svg(drawing, prefix) for prefix in ("pair-1", "pair 2<")]
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in svgs]
    assert ids[0]
    assert ids[0].isdisjoint(ids[1])
    for svg, svg_ids in zip(svgs, ids, strict=True):
        references = re.findall(r'(?:href="#|url\(#)([^")]+)', svg)
        assert references
        assert set(references) <= svg_ids
        assert 'href="sub-02.html"' in svg
        assert "../" not in svg
        assert "http" not in svg
