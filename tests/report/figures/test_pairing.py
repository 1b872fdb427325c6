from __future__ import annotations

import pytest

from bids_shresnet.outputs.runs.history import Role, ScanRow
from bids_shresnet.pairs import Split
from bids_shresnet.report.figures.pairing import MAX_SUBJECT_COLUMNS, draw_pairing, draw_splits
from tests.report.drawings import assert_is_described, assert_is_reproducible, svg_texts


def scan_row(subject: str, scanner: str, *roles: Role) -> ScanRow:
    return ScanRow(
        file=f"sub-{subject}_dwi.nii.gz",
        subject=subject,
        session="",
        scanner=scanner,
        shells="30 x 1000",
        roles=roles,
    )


SCANS = [
    scan_row("01", "GE", "travelling source"),
    scan_row("01", "GE"),
    scan_row("01", "Prisma", "travelling target"),
    scan_row("02", "GE"),
]
SPLITS = [Split(("02",), ("03",), ("01",)), Split(("01",), ("03",), ("02",))]


@pytest.mark.slow
def test_the_matrices_are_described_and_reproducible() -> None:
    assert_is_reproducible(lambda: draw_pairing(SCANS))
    assert_is_reproducible(lambda: draw_splits(SPLITS))
    assert_is_described(draw_pairing(SCANS))
    assert_is_described(draw_splits(SPLITS))


def test_the_pairing_names_scanners_and_subjects_and_counts_several_scans() -> None:
    texts = svg_texts(draw_pairing(SCANS))
    names = ("sub-01", "sub-02", "GE", "Prisma")
    assert tuple(text for text in texts if text in names) == names
    assert texts.count("2") == 1  # scans of sub-01 on GE


def test_of_many_subjects_only_those_of_several_scanners_are_drawn() -> None:
    single_scanner = [scan_row(f"x{number}", "GE") for number in range(MAX_SUBJECT_COLUMNS)]
    drawing = draw_pairing([*SCANS, *single_scanner])
    assert f"{MAX_SUBJECT_COLUMNS + 1} more subjects" in drawing.caption
    assert "sub-01" in svg_texts(drawing)
    assert "sub-x1" not in svg_texts(drawing)


def test_the_splits_show_every_subject_and_every_fold() -> None:
    texts = svg_texts(draw_splits(SPLITS))
    names = [text for text in texts if text.startswith(("sub-", "fold"))]
    assert names == ["sub-01", "sub-02", "sub-03", "fold 1", "fold 2"]
