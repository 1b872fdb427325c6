from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bids_shresnet.errors import Finding
from bids_shresnet.evaluation.cross_validation import (
    read_cross_validation,
    summarize_validation,
    write_cross_validation,
)
from bids_shresnet.evaluation.statistics import HeldOutResult
from bids_shresnet.evaluation.validation import unvalidated_reasons
from bids_shresnet.io.storage import read_json, read_tsv, write_tsv
from bids_shresnet.outputs.json_records import to_json
from bids_shresnet.outputs.model_card import SpreadCalibration, SpreadGroup, Validation
from bids_shresnet.outputs.model_folder import read_model
from bids_shresnet.report.group import build_pair_report, write_group_report
from tests.models import change_card
from tests.report.cross_validations import agreement_results, cross_validation, held_out

pytestmark = pytest.mark.slow

CALIBRATION = SpreadCalibration(0.5, (SpreadGroup(0.01, 0.02), SpreadGroup(0.03, 0.04)))
FILES = ("group.html", "group_harmonization.json", "group_harmonization.tsv")


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few resamples and pixels: intervals are tested in tests/test_statistics.py, figures in tests/files."""
    monkeypatch.setattr("bids_shresnet.evaluation.statistics.BOOTSTRAP_RESAMPLES", 99)
    monkeypatch.setattr("bids_shresnet.report.style.DPI", 20)


@pytest.mark.parametrize(
    ("count", "worse", "answer"),
    [(6, 0, "yes"), (12, 0, "yes"), (12, 6, "no"), (3, 0, "not enough subjects")],
)
def test_the_answer_is_in_the_card(count: int, worse: int, answer: str, tmp_path: Path) -> None:
    """Two-sided Wilcoxon's smallest p of n subjects is 2 / 2^n: 0.031 of six, 0.25 of three."""
    model = write_cross_validation(cross_validation(tmp_path, count, worse=worse))
    validation = model.card.validation
    assert validation is not None
    assert validation.better_than["no_harmonization"].answer == answer
    assert validation.better_than["no_harmonization"].smallest_possible_p == 2 / 2**count
    assert (validation.method, validation.subjects) == ("shresnet", count)
    assert read_model(model.folder).card.validation == validation


def test_what_was_written_is_read_again_row_by_row(tmp_path: Path) -> None:
    before = replace(cross_validation(tmp_path, 4), uncertainty=CALIBRATION, **agreement_results(4))
    after = read_cross_validation(write_cross_validation(before))
    assert after.rows == before.rows
    assert after.method == before.method
    assert after.uncertainty == CALIBRATION
    assert (after.agreements, after.powers) == (before.agreements, before.powers)
    assert after.histograms is not None
    assert after.histograms.subjects == before.histograms.subjects
    assert (after.histograms.counts == before.histograms.counts).all()
    numbers = [(row["subject"], float(row["angle"])) for row in after.orientations]
    assert numbers == [(row["subject"], row["angle"]) for row in before.orientations]
    assert summarize_validation(after) == summarize_validation(before)


def test_the_target_scanned_twice_is_no_method_to_be_better_than(tmp_path: Path) -> None:
    plain = cross_validation(tmp_path, 6)
    rescanned = replace(plain, rows=(*plain.rows, *held_out({"rescan": 0.001}, 6)))
    assert rescanned.baselines == plain.baselines == ["no_harmonization", "order_gain"]
    assert {bias.method for bias in rescanned.biases} - {bias.method for bias in plain.biases} == {
        "rescan"
    }


# --- what a user is told ----------------------------------------------------------------------------------------


def test_a_model_that_was_never_cross_validated_has_a_reason(tmp_path: Path) -> None:
    (found,) = unvalidated_reasons(cross_validation(tmp_path, 3).model, "shresnet")
    assert found.severity == "error"
    assert "never cross-validated" in found.value
    assert found.file == "from-GE_to-Prisma"


@pytest.mark.parametrize(
    ("count", "worse", "said"), [(12, 6, "(no; p = "), (3, 0, "(not enough subjects; p = 0.25)")]
)
def test_a_model_that_is_not_validated_has_the_reason(
    count: int, worse: int, said: str, tmp_path: Path
) -> None:
    (found,) = unvalidated_reasons(
        write_cross_validation(cross_validation(tmp_path, count, worse=worse)), "shresnet"
    )
    assert isinstance(found, Finding)
    assert "not validated to be better than no harmonization" in found.value
    assert said in found.value


def test_a_validated_model_has_no_reason(tmp_path: Path) -> None:
    assert (
        unvalidated_reasons(write_cross_validation(cross_validation(tmp_path, 6)), "shresnet") == ()
    )


def test_without_a_comparison_with_no_harmonization_a_model_is_not_validated(
    tmp_path: Path,
) -> None:
    model = cross_validation(tmp_path, 3, validation=Validation("shresnet", 9, {})).model
    (found,) = unvalidated_reasons(model, "shresnet")
    assert "(no; p = n/a)" in found.value


def test_the_validation_of_one_method_is_not_that_of_another(tmp_path: Path) -> None:
    (found,) = unvalidated_reasons(
        write_cross_validation(cross_validation(tmp_path, 6)), "shresnet_projected"
    )
    assert "not with shresnet_projected" in found.value


# --- what a group leaves ----------------------------------------------------------------------------------------


def test_a_group_leaves_a_table_its_description_figures_and_a_report(tmp_path: Path) -> None:
    pairs = [
        cross_validation(tmp_path / name, count, source=name)
        for name, count in (("GE", 6), ("Trio", 3))
    ]
    sentences = write_group_report(tmp_path / "out", pairs, "bids-shresnet in out group")
    names = [item.model.name for item in pairs]
    figures = {f"figures/{name}_{drawing.name}.{kind}" for name, item in zip(names, pairs, strict=True)
               for drawing in build_pair_report(item).drawings for kind in ("png", "svg")}  # fmt: skip
    figures |= {f"figures/group_pairing.{kind}" for kind in ("png", "svg")}
    found = {
        str(path.relative_to(tmp_path / "out"))
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert found == {*FILES, *figures}
    assert len(figures) == 2 * (
        2 * 6 + 1
    )  # kinds of file, pairs; splits, signal, FA, MD, subjects, bias; pairing
    page = (tmp_path / "out/group.html").read_text()
    assert all(name in page for name in names)
    assert len(sentences) == 2
    assert sentences[0].startswith("It is validated")
    assert sentences[1].startswith("It cannot be validated")


def test_the_table_holds_every_row_and_every_column_is_described(tmp_path: Path) -> None:
    found = cross_validation(tmp_path, 4)
    write_group_report(tmp_path / "out", [found], "")
    table, about = read_tsv(tmp_path / "out" / FILES[2]), read_json(tmp_path / "out" / FILES[1])
    assert len(table) == len(found.rows)
    for row, line in zip(found.rows, table, strict=True):
        assert line.pop("pair") == found.model.name
        assert HeldOutResult(**{k: type(getattr(row, k))(v) for k, v in line.items()}) == row
    assert all(about[name]["Description"] for name in table[0])
    (record,) = about["Pairs"]
    assert record["Validation"] == to_json(summarize_validation(found))
    assert [fold["Test"] for fold in record["Folds"]] == [["01"], ["02"], ["03"]]
    assert len(record["Comparisons"]) == len(found.comparisons)
    expected = asdict(found.comparisons[0])
    assert record["Comparisons"][0] == json.loads(json.dumps(expected))


def test_what_two_subjects_leave_undefined_is_left_out_of_the_record(tmp_path: Path) -> None:
    """No interval can be drawn from two: JSON knows no NaN."""
    write_group_report(tmp_path / "out", [cross_validation(tmp_path, 2)], "")
    (record,) = read_json(tmp_path / "out" / FILES[1])["Pairs"]
    assert all("interval" not in one and "p" in one for one in record["Comparisons"])


def test_a_sweep_over_blocks_is_shown_where_there_was_one(tmp_path: Path) -> None:
    found = cross_validation(tmp_path, 4)
    assert build_pair_report(found).sweep == ()
    rows = [
        {"resblocks": b, "fold": f, "validation_loss": (b + f) / 1e4}
        for b in (1, 2)
        for f in (1, 2, 3)
    ]
    write_tsv(found.model.folder / "resblocks.tsv", rows)
    shown = build_pair_report(found)
    assert [(row.resblocks, row.folds) for row in shown.sweep] == [(1, 3), (2, 3)]
    assert shown.sweep[1].mean == pytest.approx(100 * (2 + 2) / 1e4)
    assert "resblocks" in [drawing.name for drawing in shown.figures["metrics"]]


def test_the_notes_say_the_mean_angles_and_what_the_uncertainty_is_worth(tmp_path: Path) -> None:
    plain = cross_validation(tmp_path, 4)
    shown = build_pair_report(replace(plain, uncertainty=CALIBRATION))
    assert "20.00 degrees" in shown.notes["before-after"][1]
    assert "10.00 harmonized" in shown.notes["before-after"][1]
    (note,) = shown.notes["uncertainty"]
    assert "0.0100" in note
    assert "rank correlation of 0.50" in note
    assert [drawing.name for drawing in shown.figures["uncertainty"]] == ["uncertainty"]


def test_a_model_that_an_earlier_version_proved_still_has_a_report_that_says_what_is_missing(
    tmp_path: Path,
) -> None:
    bare = build_pair_report(replace(cross_validation(tmp_path, 4), orientations=()))
    assert (
        bare.figures["before-after"]
        == bare.figures["uncertainty"]
        == bare.figures["training"]
        == []
    )
    (note,) = bare.notes["before-after"]
    assert "kept no histograms" in note
    assert "closed form" in bare.notes["training"][0]
    full = build_pair_report(replace(cross_validation(tmp_path, 4), **agreement_results(4)))
    names = [drawing.name for drawing in full.figures["before-after"]]
    assert names == [
        f"{kind}{q}" for q in ("Signal", "Fa", "Md") for kind in ("joint", "difference")
    ] + ["power"]
    assert not any("histograms" in note for note in full.notes["before-after"])


def test_a_report_links_the_reports_on_subjects_and_tells_what_is_beside_the_models(
    tmp_path: Path,
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/sub-01.html").write_text("")
    (tmp_path / "out/logs").mkdir()
    (tmp_path / "out/logs/CITATION.md").write_text("# Methods as written")
    write_group_report(tmp_path / "out", [cross_validation(tmp_path, 2)], "")
    page = (tmp_path / "out/group.html").read_text()
    assert set(re.findall(r'href="(sub-[^"]*)"', page)) == {"sub-01.html"}
    assert "# Methods as written" in page
    assert "No record of a" in page  # run of this version


def test_a_report_is_made_again_from_the_models_folder_alone(tmp_path: Path) -> None:
    model = write_cross_validation(cross_validation(tmp_path, 4))
    change_card(model, description="moved")
    first = write_group_report(
        tmp_path / "one", [read_cross_validation(read_model(model.folder))], ""
    )
    again = write_group_report(
        tmp_path / "two", [read_cross_validation(read_model(model.folder))], ""
    )
    assert first == again
    tables = [(tmp_path / name / FILES[2]).read_bytes() for name in ("one", "two")]
    assert tables[0] == tables[1]
