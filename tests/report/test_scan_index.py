from __future__ import annotations

from pathlib import Path

import pytest

from bids_shresnet.io.storage import write_json, write_tsv
from bids_shresnet.report.figures.scan_values import ScanValue
from bids_shresnet.report.scan_index import quality_values, read_scan_values, write_index
from tests.report.test_group_page import ODD, Page
from tests.report.test_index_rows import index_rows, qc_row


def scalar_row(stage: str, batch: str, value: float) -> dict[str, str]:
    target = "Prisma" if stage == "after" else "n/a"
    known = {"stage": stage, "batch": batch, "participant_id": "sub-01", "target": target}
    known |= {"session_id": "n/a"}
    return {**known, "seg": "tissue", "region": "WM", "measure": "fa", "value": str(value)}


def test_scans_of_the_target_are_shown_once(tmp_path: Path) -> None:
    stages = {("before", "GE"): 0.3, ("after", "GE"): 0.4}
    stages |= {("before", "Prisma"): 0.41, ("after", "Prisma"): 0.41, ("denoised", "GE"): 0.5}
    rows = [scalar_row(stage, batch, value) for (stage, batch), value in stages.items()]
    write_tsv(tmp_path / "group_scalars.tsv", rows)
    found = {(item.scanner, item.stage): item.value for item in read_scan_values(tmp_path)}
    expected = {("GE", "before"): 0.3, ("GE", "after"): 0.4, ("Prisma", "target"): 0.41}
    assert found == expected
    first = ScanValue("01", "", "GE", "before", "FA, white matter", 0.3)
    assert read_scan_values(tmp_path)[0] == first


def test_the_quality_of_scans_is_shown_where_it_is_known() -> None:
    table = [qc_row("01", 0.4), {**qc_row("02", 0.4, "Prisma"), "novel_fraction": "n/a"}]
    values = quality_values(index_rows(table))
    assert [(item.subject, item.panel, item.value) for item in values] == [
        ("01", "Out of distribution (%)", pytest.approx(2)),
        ("01", "MD above water (voxels)", 7),
        ("02", "MD above water (voxels)", 7),
    ]


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
