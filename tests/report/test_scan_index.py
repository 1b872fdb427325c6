from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.io.storage import write_json, write_tsv
from bids_shresnet.report.figures.scan_values import ScanValue
from bids_shresnet.report.scan_index import (
    find_outliers,
    make_index_rows,
    read_scan_values,
    write_index,
)
from tests.report.test_group_page import ODD, Page


def qc_row(subject: str, fa: float, scanner: str = "GE") -> dict[str, str]:
    known = {"file": f"sub-{subject}_dwi.nii.gz", "participant_id": f"sub-{subject}"}
    numbers = {"wm_fa": str(fa), "gm_fa": "0.2", "wm_md": "0.0007", "gm_md": "n/a"}
    rest = {"scanner": scanner, "role": "harmonized", "novel_fraction": "0.02"}
    return {**known, **numbers, **rest, "noise_level": "n/a"}


def scalar_row(stage: str, batch: str, value: float) -> dict[str, str]:
    target = "Prisma" if stage == "after" else "n/a"
    known = {"stage": stage, "batch": batch, "participant_id": "sub-01", "target": target}
    return {**known, "seg": "tissue", "region": "WM", "measure": "fa", "value": str(value)}


def test_a_value_far_from_the_median_is_an_outlier_however_many_scans_there_are() -> None:
    rng = np.random.default_rng(0)
    values = [*rng.normal(0.45, 0.01, 200), 0.6]
    marks = find_outliers(values)
    assert marks[-1]
    assert np.mean(marks[:-1]) < 0.01


@pytest.mark.parametrize("values", [[0.1, 0.1, 0.1, 9.0], [1.0] * 9 + [2.0], [np.nan] * 9])
def test_few_or_equal_or_unknown_values_have_no_outlier(values: list[float]) -> None:
    assert not any(find_outliers(values))


def test_outliers_are_those_among_the_scans_of_a_scanner() -> None:
    table = [qc_row(f"{n:02d}", 0.45 + n / 1000) for n in range(6)]
    table += [qc_row(f"{n:02d}", 0.55 + n / 1000, "Prisma") for n in range(6)]
    assert not any(row.outliers for row in make_index_rows(table, ()))
    table[0]["wm_fa"] = "0.55"
    first, *others = make_index_rows(table, [{"participant_id": "sub-00", "rating": "fail"}])
    assert (first.outliers, first.ratings) == (frozenset({"wm_fa"}), ("fail",))
    assert first.values["wm_md"] == pytest.approx(0.7)
    assert not any(row.outliers for row in others)


def test_scans_of_the_target_are_shown_once(tmp_path: Path) -> None:
    stages = {("before", "GE"): 0.3, ("after", "GE"): 0.4}
    stages |= {("before", "Prisma"): 0.41, ("after", "Prisma"): 0.41, ("denoised", "GE"): 0.5}
    rows = [scalar_row(stage, batch, value) for (stage, batch), value in stages.items()]
    write_tsv(tmp_path / "group_scalars.tsv", rows)
    found = {(item.scanner, item.stage): item.value for item in read_scan_values(tmp_path)}
    expected = {("GE", "before"): 0.3, ("GE", "after"): 0.4, ("Prisma", "target"): 0.41}
    assert found == expected
    assert read_scan_values(tmp_path)[0] == ScanValue("01", "GE", "before", "WM", "FA", 0.3)


@pytest.mark.slow
def test_the_page_lists_every_scan_links_its_page_and_collects_ratings(tmp_path: Path) -> None:
    write_tsv(tmp_path / "group_qc.tsv", [qc_row("01", 0.4), qc_row("02", 0.5, ODD)])
    write_tsv(tmp_path / "group_scalars.tsv", [scalar_row("before", ODD, 0.3)])
    write_json(tmp_path / "ratings/a.json", {"subject": "01", "rating": "pass"})
    (tmp_path / "sub-01.html").touch()
    write_index(tmp_path)
    text = (tmp_path / "index.html").read_text()
    page = Page(text)
    assert page.open == []
    links = {str(attributes.get("href")) for tag, attributes in page.elements if tag == "a"}
    assert "sub-01.html" in links
    assert "sub-02.html" not in links
    assert "pass" in page.text
    assert ODD in page.text  # in the figure, long labels have several lines
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert (tmp_path / "group_ratings.tsv").exists()


def test_without_scans_there_is_no_page(tmp_path: Path) -> None:
    write_index(tmp_path)
    assert not (tmp_path / "index.html").exists()
