"""The figures that only the group report has and that do not compare methods."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path

import pytest

from bids_shresnet.evaluation.statistics import QUANTITIES, TISSUES, HeldOutResult
from bids_shresnet.io.storage import write_tsv
from bids_shresnet.outputs.history import Role, ScanRow
from bids_shresnet.outputs.model_card import SpreadCalibration, SpreadGroup
from bids_shresnet.pairs import Split
from bids_shresnet.report.figures.pairing import MAX_SUBJECT_COLUMNS, draw_pairing, draw_splits
from bids_shresnet.report.figures.subjects import draw_subject_errors
from bids_shresnet.report.figures.training import TrainingCurve, draw_training_curves, read_curves
from bids_shresnet.report.figures.uncertainty import draw_calibration
from bids_shresnet.report.style import Drawing, inline_svg
from tests.drawings import texts
from tests.held_out import METHODS, SUBJECTS

pytestmark = pytest.mark.slow

CURVES = (
    TrainingCurve(
        1,
        (0, 1, 2, 3),
        ("adam", "adam", "sgd", "sgd"),
        (4e-3, 3e-3, 2e-3, 1e-3),
        (5e-3, 3e-3, 2e-3, 4e-3),
        2,
    ),
    TrainingCurve(2, (0, 1), ("adam", "adam"), (4e-3, 3e-3), (5e-3, 3e-3), 1),
)


def rows() -> list[HeldOutResult]:
    return [
        HeldOutResult(s, 1, m, t, q, 0.1, 0.1)
        for s, m, t, q in product(SUBJECTS, METHODS, TISSUES, QUANTITIES)
    ]


def scan(subject: str, scanner: str, *roles: Role) -> ScanRow:
    return ScanRow(
        file=f"sub-{subject}_dwi.nii.gz",
        subject=subject,
        session="",
        scanner=scanner,
        shells="30 x 1000",
        roles=roles,
    )


SCANS = [
    scan("01", "GE", "travelling source"),
    scan("01", "GE"),
    scan("01", "Prisma", "travelling target"),
    scan("02", "GE"),
]

SPLITS = [Split(("02",), ("03",), ("01",)), Split(("01",), ("03",), ("02",))]
FIGURES: dict[str, Callable[[], Drawing]] = {
    "subjects": lambda: draw_subject_errors(rows(), "shresnet", {"sub-02.html"}),
    "training": lambda: draw_training_curves(CURVES),
    "calibration": lambda: draw_calibration(SpreadCalibration(0.4, (SpreadGroup(0.01, 0.02),) * 2)),
    "pairing": lambda: draw_pairing(SCANS),
    "splits": lambda: draw_splits(SPLITS),
}


@cache
def drawn(name: str) -> Drawing:
    """One of `FIGURES`, drawn once for all tests."""
    return FIGURES[name]()


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_same_bytes_every_time_and_says_what_it_shows(name: str) -> None:
    made = drawn(name)
    assert made == FIGURES[name]()
    assert made.png.startswith(b"\x89PNG")
    assert len(made.caption) > len(made.alt) > 20


def test_points_of_subjects_with_a_report_are_links_and_no_others() -> None:
    found = re.findall(rb'xlink:href="([^#"]+)"', drawn("subjects").svg)
    assert set(found) == {b"../sub-02.html"}
    assert len(found) == 2 * len(TISSUES) * len(QUANTITIES)  # before and after in every panel
    assert "There were no reports" in draw_subject_errors(rows(), "shresnet", ()).caption


def test_an_svg_in_a_page_has_ids_of_its_own_and_links_from_there() -> None:
    one, other = (inline_svg(drawn("subjects"), prefix) for prefix in ("pair-1", "pair 2<"))
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (one, other)]
    assert ids[0]
    assert ids[0].isdisjoint(ids[1])
    for text, known in zip((one, other), ids, strict=True):
        used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
        assert {first or second for first, second in used} <= known
        assert 'href="sub-02.html"' in text
        assert "../" not in text
        assert "http" not in text


def test_a_curve_is_read_with_its_stages_and_the_epoch_that_was_kept(tmp_path: Path) -> None:
    lines = [
        {
            "fold": c.fold,
            "epoch": e,
            "stage": s,
            "learning_rate": 1,
            "training_loss": t,
            "validation_loss": v,
        }
        for c in CURVES
        for e, s, t, v in zip(c.epochs, c.stages, c.training, c.validation, strict=True)
    ]
    write_tsv(tmp_path / "training.tsv", lines)
    found = read_curves(tmp_path / "training.tsv", (2, 1))
    assert found == CURVES
    assert [curve.stage_changes for curve in found] == [(2,), ()]
    assert "change from adam to sgd" in drawn("training").caption
    assert "only one stage" in draw_training_curves(found[1:]).caption


def test_a_method_in_closed_form_has_no_curves(tmp_path: Path) -> None:
    assert read_curves(tmp_path / "training.tsv", (None,)) == ()
    write_tsv(tmp_path / "training.tsv", [], ["fold", "epoch"])
    assert read_curves(tmp_path / "training.tsv", (None,)) == ()


def test_the_matrix_names_scanners_and_subjects_and_counts_several_scans() -> None:
    found = texts(drawn("pairing"))
    assert [text for text in found if text in ("GE", "Prisma", "sub-01", "sub-02")] == [
        "sub-01",
        "sub-02",
        "GE",
        "Prisma",
    ]
    assert found.count("2") == 1  # scans of sub-01 on GE


def test_of_very_many_subjects_those_of_one_scanner_are_counted_only() -> None:
    many = [scan(f"x{k}", "GE") for k in range(MAX_SUBJECT_COLUMNS)]
    made = draw_pairing([*SCANS, *many])
    assert f"{MAX_SUBJECT_COLUMNS + 1} more subjects" in made.caption
    assert "sub-01" in texts(made)
    assert "sub-x1" not in texts(made)


def test_the_splits_show_every_subject_of_every_fold() -> None:
    found = texts(drawn("splits"))
    assert [text for text in found if text.startswith(("sub-", "fold"))] == [
        *("sub-01", "sub-02", "sub-03"),
        *("fold 1", "fold 2"),
    ]
