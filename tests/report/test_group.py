from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.evaluation.cross_validation import (
    CrossValidation,
    read_cross_validation,
    summarize_validation,
    write_cross_validation,
)
from bids_shresnet.evaluation.held_out_slices import SLICED_AXES, HeldOutSlices
from bids_shresnet.evaluation.results import HeldOutResult
from bids_shresnet.io.storage import read_json, read_tsv
from bids_shresnet.outputs.json_records import to_json
from bids_shresnet.outputs.runs.history import NovelFraction, ScanRow
from bids_shresnet.report.group import mark_harmonized, write_group_report
from tests.models import change_card
from tests.report.cross_validations import cross_validation

pytestmark = pytest.mark.slow

PAGE = "group.html"
SIDECAR = "group_harmonization.json"
TABLE = "group_harmonization.tsv"
TABLES = {
    f"group_{name}.{extension}"
    for name in ("harmonization", "comparisons", "bias", "regions")
    for extension in ("tsv", "json")
}
FIGURES = ("splits", "errors_signal", "errors_fa", "errors_md", "subjects", "bias")


@pytest.fixture(autouse=True)
def _coarse_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use few resamples and pixels; intervals and figures have tests of their own."""
    monkeypatch.setattr("bids_shresnet.evaluation.statistics.BOOTSTRAP_RESAMPLES", 99)
    monkeypatch.setattr("bids_shresnet.report.style.DPI", 20)


def relative_files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def figure_files(owner: str, names: Iterable[str]) -> set[str]:
    files = set()
    for name in names:
        files |= {f"figures/{owner}_{name}.png", f"figures/{owner}_{name}.svg"}
    return files


def parse_result(line: dict[str, str]) -> HeldOutResult:
    return HeldOutResult(
        subject=line["subject"],
        fold=int(line["fold"]),
        method=line["method"],
        tissue=line["tissue"],
        quantity=line["quantity"],
        places=line["places"],
        nmse=float(line["nmse"]),
        bias=float(line["bias"]),
        mean=float(line["mean"]),
        target_mean=float(line["target_mean"]),
    )


def test_a_group_writes_a_table_its_sidecar_figures_and_a_page(tmp_path: Path) -> None:
    pairs = [
        cross_validation(tmp_path / "GE", 6, source="GE"),
        cross_validation(tmp_path / "Trio", 3, source="Trio"),
    ]
    sentences = write_group_report(tmp_path / "out", pairs, "bids-shresnet in out group")
    expected = {PAGE, *TABLES} | figure_files("group", ["pairing"])
    for pair in pairs:
        expected |= figure_files(pair.model.name, FIGURES)
        expected.add(f"figures/{pair.model.name}_figures.json")
    assert relative_files(tmp_path / "out") == expected
    page = (tmp_path / "out" / PAGE).read_text()
    assert all(pair.model.name in page for pair in pairs)
    assert sentences[0].startswith("It is validated")
    assert sentences[1].startswith("It cannot be validated")
    assert len(sentences) == 2


def test_figures_of_voxels_have_no_svg_and_no_file_is_empty(tmp_path: Path) -> None:
    planes = {plane: np.full((3, 2, 8, 8), 0.5) for plane in SLICED_AXES}
    pair = cross_validation(tmp_path, 4)
    subjects = {row.subject for row in pair.rows}
    slices = tuple(HeldOutSlices(subject, planes, (2.0, 2.0, 2.0)) for subject in subjects)
    pair = replace(pair, slices=slices)
    write_group_report(tmp_path / "out", [pair], "")
    figures = {path.name: path for path in (tmp_path / "out/figures").iterdir()}
    assert f"{pair.model.name}_headFa.png" in figures
    assert f"{pair.model.name}_headFa.svg" not in figures
    assert all(path.stat().st_size for path in figures.values())


def test_the_table_holds_every_row_and_every_column_is_described(tmp_path: Path) -> None:
    pair = cross_validation(tmp_path, 4)
    write_group_report(tmp_path / "out", [pair], "")
    lines = read_tsv(tmp_path / "out" / TABLE)
    assert {line["pair"] for line in lines} == {pair.model.name}
    assert tuple(map(parse_result, lines)) == pair.rows
    sidecar = read_json(tmp_path / "out" / SIDECAR)
    assert all(sidecar[column]["Description"] for column in lines[0])


def test_the_sidecar_holds_the_validation_and_the_folds(tmp_path: Path) -> None:
    pair = cross_validation(tmp_path, 4)
    write_group_report(tmp_path / "out", [pair], "")
    (record,) = read_json(tmp_path / "out" / SIDECAR)["Pairs"]
    assert record["Validation"] == to_json(summarize_validation(pair))
    assert [fold["Test"] for fold in record["Folds"]] == [["01"], ["02"], ["03"]]


def test_the_page_links_the_reports_on_subjects_and_shows_the_methods_text(
    tmp_path: Path,
) -> None:
    (tmp_path / "out/logs").mkdir(parents=True)
    (tmp_path / "out/sub-01.html").write_text("")
    (tmp_path / "out/logs/CITATION.md").write_text("# Methods as written")
    write_group_report(tmp_path / "out", [cross_validation(tmp_path, 2)], "")
    page = (tmp_path / "out" / PAGE).read_text()
    assert set(re.findall(r'href="(sub-[^"]*)"', page)) == {"sub-01.html"}
    assert "# Methods as written" in page
    assert "No record of a" in page  # no run is in logs/


@pytest.mark.parametrize("name", ["sub-09_ses-ge_dwi", "sub-09_ses-ge_desc-preproc_dwi"])
def test_a_scan_that_is_harmonized_is_not_excluded(name: str) -> None:
    excluded = ScanRow(
        file=f"sub-09/{name}.nii.gz", subject="09", session="", scanner="GE", shells="", reason="no"
    )
    other = replace(excluded, file="sub-08/sub-08_ses-ge_dwi.nii.gz")
    harmonized = [NovelFraction("sub-09_ses-ge_desc-harmonized_dwi", "09", "model", 0.1)]
    first, second = mark_harmonized([excluded, other], harmonized)
    assert first.role_text == "to harmonize"
    assert second.role_text == "excluded"


def test_a_report_is_written_again_from_the_models_folder_alone(tmp_path: Path) -> None:
    model = write_cross_validation(cross_validation(tmp_path, 4))
    moved = change_card(model, description="moved")

    def write_report(folder: Path) -> tuple[str, ...]:
        pairs: list[CrossValidation] = [read_cross_validation(moved)]
        return write_group_report(folder, pairs, "")

    assert write_report(tmp_path / "first") == write_report(tmp_path / "second")
    tables = [(tmp_path / name / TABLE).read_bytes() for name in ("first", "second")]
    assert tables[0] == tables[1]
