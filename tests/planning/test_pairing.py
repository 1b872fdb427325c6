from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from bids_shresnet.config import ScannerSettings
from bids_shresnet.errors import BadInput, InputMissing, UsageError
from bids_shresnet.planning.pairing import form_pairs
from tests.datasets import ELITION, GE, PRISMA, Series, travelling_heads, write_tree
from tests.inventories import find, heads

GE_LABEL, PRISMA_LABEL, ELITION_LABEL = (
    "SIGNAEXCITE000000UOWMR1",
    "Prisma66083",
    "IngeniaElitionX45053",
)


ASKED = ScannerSettings()


@pytest.mark.parametrize(
    ("ge_only", "prisma_only", "target"),
    [(["07", "08"], [], "Prisma66083"), ([], ["07"], "SIGNAEXCITE000000UOWMR1")],
)
def test_the_default_target_lets_most_scans_be_harmonized(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    ge_only: list[str],
    prisma_only: list[str],
    target: str,
) -> None:
    caplog.set_level(logging.INFO)
    (pair,) = form_pairs(
        find(heads(tmp_path / "data", ["03", "01", "02"], ge_only, prisma_only)), ASKED
    )
    assert pair.target.label == target
    assert [source.subject for source, _ in pair.travelling_scans] == ["01", "02", "03"]
    assert target in caplog.text


def test_between_equals_the_target_has_most_directions(tmp_path: Path) -> None:
    subjects = dict.fromkeys(["01", "02", "03"], (GE, PRISMA))
    shells = {"ge": {0: 1, 1000: 12}}
    (pair,) = form_pairs(find(travelling_heads(tmp_path / "data", subjects, shells)), ASKED)
    assert pair.target.model == GE["ManufacturersModelName"]


@pytest.mark.parametrize("target", ["prisma", "66083", "Prisma66083"])
def test_a_part_of_the_label_names_the_target(tmp_path: Path, target: str) -> None:
    (pair,) = form_pairs(
        find(heads(tmp_path / "data", ["01", "02", "03"], prisma_only=["04"])),
        ScannerSettings(target=target),
    )
    assert pair.name == "from-SIGNAEXCITE000000UOWMR1_to-Prisma66083"


def test_a_target_must_be_one_scanner_of_the_dataset(tmp_path: Path) -> None:
    inventory = find(heads(tmp_path / "data", ["01", "02", "03"]))
    with pytest.raises(InputMissing, match=r"--target Trio.*Prisma66083"):
        form_pairs(inventory, ScannerSettings(target="Trio"))
    with pytest.raises(UsageError, match=r"Prisma66083, SIGNAEXCITE"):
        form_pairs(inventory, ScannerSettings(target="s"))


def test_a_subject_is_represented_by_the_scan_with_most_directions_then_by_name(
    tmp_path: Path,
) -> None:
    root = heads(tmp_path / "data", ["01", "02", "03"])
    acquisitions = {"acq-b": {0: 1, 1000: 9}, "acq-c": {0: 1, 1000: 9}, "acq-a": {0: 1, 1000: 8}}
    stem = "sub-02/ses-ge/dwi/sub-02_ses-ge"
    write_tree(
        root, {f"{stem}_{acq}_dwi": Series(shells, GE) for acq, shells in acquisitions.items()}
    )
    (pair,) = form_pairs(find(root), ScannerSettings(target="Prisma"))
    assert [source.name for source, _ in pair.travelling_scans] == [
        "sub-01_ses-ge",
        "sub-02_ses-ge_acq-b",
        "sub-03_ses-ge",
    ]


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
    write_tree(
        root,
        {"sub-03/ses-siemens/dwi/sub-03_ses-siemens_run-2_dwi": Series({0: 1, 1000: 5}, PRISMA)},
    )
    (pair,) = form_pairs(find(root), ScannerSettings(target="Prisma"))
    chosen = {there.subject: there for _, there in pair.travelling_scans}
    assert [(again.name, first) for again, first in pair.repeats] == [
        ("sub-01_ses-siemens_run-2", chosen["01"]),
        ("sub-02_ses-siemens_run-2", chosen["02"]),
    ]


def test_pairs_with_too_few_travelling_subjects_are_not_formed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = travelling_heads(
        tmp_path / "data", {"01": (GE, PRISMA, ELITION), "02": (GE, PRISMA), "03": (GE, PRISMA)}
    )
    assert [pair.name for pair in form_pairs(find(root), ScannerSettings(target="Prisma"))] == [
        "from-SIGNAEXCITE000000UOWMR1_to-Prisma66083"
    ]
    assert "from-IngeniaElitionX45053_to-Prisma66083 is not trained: 1" in caplog.text


def test_without_any_pair_every_scanner_is_listed_with_what_it_shares(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        form_pairs(find(heads(tmp_path / "data", ["01", "02"], ge_only=["03"])), ASKED)
    text = [str(finding) for finding in error.value.findings]
    assert "3 subjects" in text[0]
    assert "Prisma66083: 2 subjects, of them 2 with SIGNAEXCITE000000UOWMR1" in text[1]


def three_scanners(root: Path) -> Path:
    return travelling_heads(root, dict.fromkeys(["01", "02", "03"], (GE, PRISMA, ELITION)))


def test_target_all_makes_every_scanner_in_turn_the_target(tmp_path: Path) -> None:
    labels = {GE_LABEL, PRISMA_LABEL, ELITION_LABEL}
    pairs = form_pairs(find(three_scanners(tmp_path / "data")), ScannerSettings(target="all"))
    assert {pair.name for pair in pairs} == {
        f"from-{s}_to-{t}" for s in labels for t in labels if s != t
    }
    assert len(pairs) == 6
    assert all(
        scan.scanner_label == pair.target.label
        for pair in pairs
        for _, scan in pair.travelling_scans
    )


def test_pairs_that_are_asked_for_are_formed_and_no_others(tmp_path: Path) -> None:
    inventory = find(three_scanners(tmp_path / "data"))
    pairs = form_pairs(inventory, ScannerSettings(pair=("signa:prisma", "45053:signa")))
    assert [(pair.source.label, pair.target.label) for pair in pairs] == [
        (GE_LABEL, PRISMA_LABEL),
        (ELITION_LABEL, GE_LABEL),
    ]


def test_a_pair_that_is_asked_for_and_cannot_be_trained_is_an_error(tmp_path: Path) -> None:
    root = travelling_heads(
        tmp_path / "data", {"01": (GE, PRISMA, ELITION), "02": (GE, PRISMA), "03": (GE, PRISMA)}
    )
    with pytest.raises(
        BadInput, match=r"from-IngeniaElitionX45053_to-Prisma66083: 1 travelling"
    ) as error:
        form_pairs(find(root), ScannerSettings(pair=("elition:prisma", "signa:prisma")))
    assert len(error.value.findings) == 1


def test_a_pair_is_two_scanners_of_the_dataset(tmp_path: Path) -> None:
    inventory = find(heads(tmp_path / "data", ["01", "02", "03"]))
    with pytest.raises(UsageError, match="both Prisma66083"):
        form_pairs(inventory, ScannerSettings(pair=("prisma:66083",)))
    with pytest.raises(InputMissing, match="--pair trio"):
        form_pairs(inventory, ScannerSettings(pair=("trio:prisma",)))


def test_a_filter_overrides_which_scan_stands_for_a_subject(tmp_path: Path) -> None:
    root = heads(tmp_path / "data", ["01", "02", "03"])
    for subject in ("01", "02", "03"):
        stem = f"sub-{subject}/ses-ge/dwi/sub-{subject}_ses-ge"
        shells = {"acq-z": {0: 1, 1000: 9}, "acq-few": {0: 1, 1000: 7}}
        write_tree(
            root, {f"{stem}_{acq}_dwi": Series(volumes, GE) for acq, volumes in shells.items()}
        )
    chosen = {}
    for acquisition in ("*", "few", [None, "few"]):
        file = tmp_path / "filter.json"
        file.write_text(json.dumps({"dwi": {"acquisition": acquisition}, "t1w": {"run": 1}}))
        sessions = find(root, bids_filter_file=file).scans
        chosen[str(acquisition)] = {scan.entities.get("acquisition") for scan in sessions}
    assert chosen == {"*": {"z", "few"}, "few": {"few"}, "[None, 'few']": {None, "few"}}
    (pair,) = form_pairs(find(root, bids_filter_file=file), ScannerSettings(target="prisma"))
    assert {source.name.split("_")[-1] for source, _ in pair.travelling_scans} == {"acq-few"}
