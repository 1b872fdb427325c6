from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.errors import BadInput, InputMissing, NothingSelected, UsageError
from bids_shresnet.steps.pair import form_pairs, select
from tests.datasets import ELITION, GE, PRISMA, Series, travelling_heads, write_tree
from tests.steps.inventories import config, find, heads


@pytest.mark.parametrize(
    ("ge_only", "prisma_only", "target"), [(["07", "08"], [], "Prisma66083"), ([], ["07"], "SIGNAEXCITE000000UOWMR1")]
)
def test_the_default_target_lets_most_scans_be_harmonized(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ge_only: list[str], prisma_only: list[str], target: str
) -> None:
    caplog.set_level(logging.INFO)
    (pair,) = form_pairs(find(heads(tmp_path / "data", ["03", "01", "02"], ge_only, prisma_only)), None)
    assert pair.target.label == target
    assert [source.subject for source, _ in pair.travelling] == ["01", "02", "03"]
    assert target in caplog.text


def test_between_equals_the_target_has_most_directions(tmp_path: Path) -> None:
    subjects = dict.fromkeys(["01", "02", "03"], (GE, PRISMA))
    shells = {"ge": {0: 1, 1000: 12}}
    (pair,) = form_pairs(find(travelling_heads(tmp_path / "data", subjects, shells)), None)
    assert pair.target.model == GE["ManufacturersModelName"]


@pytest.mark.parametrize("target", ["prisma", "66083", "Prisma66083"])
def test_a_part_of_the_label_names_the_target(tmp_path: Path, target: str) -> None:
    (pair,) = form_pairs(find(heads(tmp_path / "data", ["01", "02", "03"], prisma_only=["04"])), target)
    assert pair.name == "from-SIGNAEXCITE000000UOWMR1_to-Prisma66083"


def test_a_target_must_be_one_scanner_of_the_dataset(tmp_path: Path) -> None:
    inventory = find(heads(tmp_path / "data", ["01", "02", "03"]))
    with pytest.raises(InputMissing, match=r"--target Trio.*Prisma66083"):
        form_pairs(inventory, "Trio")
    with pytest.raises(UsageError, match=r"Prisma66083, SIGNAEXCITE"):
        form_pairs(inventory, "s")


def test_a_subject_is_represented_by_the_scan_with_most_directions_then_by_name(tmp_path: Path) -> None:
    root = heads(tmp_path / "data", ["01", "02", "03"])
    acquisitions = {"acq-b": {0: 1, 1000: 9}, "acq-c": {0: 1, 1000: 9}, "acq-a": {0: 1, 1000: 8}}
    stem = "sub-02/ses-ge/dwi/sub-02_ses-ge"
    write_tree(root, {f"{stem}_{acq}_dwi": Series(shells, GE) for acq, shells in acquisitions.items()})
    (pair,) = form_pairs(find(root), "Prisma")
    assert [source.name for source, _ in pair.travelling] == ["sub-01_ses-ge", "sub-02_ses-ge_acq-b", "sub-03_ses-ge"]


def test_a_second_target_scan_of_as_many_directions_is_a_repeat(tmp_path: Path) -> None:
    """Of several the first by name; a scan of other directions, or of the source scanner, is none."""
    root = heads(tmp_path / "data", ["01", "02", "03"])
    more = {
        "sub-01/ses-siemens/dwi/sub-01_ses-siemens_run-2_dwi": PRISMA,
        "sub-02/ses-siemens/dwi/sub-02_ses-siemens_run-3_dwi": PRISMA,
        "sub-02/ses-siemens/dwi/sub-02_ses-siemens_run-2_dwi": PRISMA,
        "sub-03/ses-ge/dwi/sub-03_ses-ge_run-2_dwi": GE,
    }
    write_tree(root, {name: Series(sidecar=scanner) for name, scanner in more.items()})
    write_tree(root, {"sub-03/ses-siemens/dwi/sub-03_ses-siemens_run-2_dwi": Series({0: 1, 1000: 5}, PRISMA)})
    (pair,) = form_pairs(find(root), "Prisma")
    chosen = {there.subject: there for _, there in pair.travelling}
    assert [(again.name, first) for again, first in pair.repeats] == [
        ("sub-01_ses-siemens_run-2", chosen["01"]),
        ("sub-02_ses-siemens_run-2", chosen["02"]),
    ]


def test_pairs_with_too_few_travelling_subjects_are_not_formed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = travelling_heads(tmp_path / "data", {"01": (GE, PRISMA, ELITION), "02": (GE, PRISMA), "03": (GE, PRISMA)})
    assert [pair.name for pair in form_pairs(find(root), "Prisma")] == ["from-SIGNAEXCITE000000UOWMR1_to-Prisma66083"]
    assert "from-IngeniaElitionX45053_to-Prisma66083 is not trained: 1" in caplog.text


def test_without_any_pair_every_scanner_is_listed_with_what_it_shares(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        form_pairs(find(heads(tmp_path / "data", ["01", "02"], ge_only=["03"])), None)
    text = [str(finding) for finding in error.value.findings]
    assert "3 subjects" in text[0]
    assert "Prisma66083: 2 subjects, of them 2 with SIGNAEXCITE000000UOWMR1" in text[1]


def test_scans_of_a_source_are_selected_and_the_others_have_a_reason(tmp_path: Path) -> None:
    root = travelling_heads(tmp_path / "data", {"01": (GE, PRISMA), "02": (ELITION,)})
    inventory = find(root)
    sources = {"SIGNAEXCITE000000UOWMR1": "Prisma66083"}
    selection = select(inventory, sources, config(root))
    assert [scan.name for scan in selection.scans] == ["sub-01_ses-ge"]
    assert [item.reason for item in selection.left_out] == [
        "already the target scanner",
        "no model from this scanner (Ingenia Elition X, serial 45053) to Prisma66083; "
        "train one from subjects scanned on both",
    ]


def test_labels_with_and_without_prefix_select_alike(tmp_path: Path) -> None:
    root = heads(tmp_path / "data", ["01", "02"])
    sources = {"SIGNAEXCITE000000UOWMR1": "Prisma66083"}
    for label, session in (("sub-02", "ses-ge"), ("02", "ge")):
        chosen = config(root, participant_label=(label,), session_label=(session,))
        selection = select(find(root), sources, chosen)
        assert [scan.name for scan in selection.scans] == ["sub-02_ses-ge"]


@pytest.mark.parametrize("flags", [{"participant_label": ("01", "9", "7")}, {"session_label": ("9", "7")}])
def test_unknown_labels_are_missing_input_and_all_named(tmp_path: Path, flags: dict[str, Any]) -> None:
    root = heads(tmp_path / "data", ["01"])
    with pytest.raises(InputMissing, match=rf"label 9 7: .*{root}.*(01|ge siemens)") as error:
        select(find(root), {"SIGNAEXCITE000000UOWMR1": "Prisma66083"}, config(root, **flags))
    assert error.value.exit_code == 66


def test_nothing_left_is_said_with_the_reasons(tmp_path: Path) -> None:
    root = heads(tmp_path / "data", ["01"], prisma_only=["02"])
    with pytest.raises(NothingSelected, match="1 x already the target scanner") as error:
        select(find(root), {"SIGNAEXCITE000000UOWMR1": "Prisma66083"}, config(root, participant_label=("02",)))
    assert error.value.exit_code == 18
