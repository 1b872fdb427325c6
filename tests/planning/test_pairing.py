from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path

import pytest

from bids_shresnet.config import ScannerSettings
from bids_shresnet.errors import BadInput, InputMissing, UsageError
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.pairing import form_pairs
from tests.datasets import ELITION, GE, PRISMA, Series, travelling_heads, write_tree
from tests.inventories import (
    ELITION_LABEL,
    GE_LABEL,
    PRISMA_LABEL,
    find_inventory,
    write_heads,
)

SUBJECTS = ["01", "02", "03"]
DEFAULT = ScannerSettings()
TO_PRISMA = ScannerSettings(target="Prisma")


def form_one_pair(root: Path, settings: ScannerSettings = DEFAULT) -> Pair:
    (pair,) = form_pairs(find_inventory(root), settings).pairs
    return pair


def write_three_scanners(root: Path) -> Path:
    return travelling_heads(root, dict.fromkeys(SUBJECTS, (GE, PRISMA, ELITION)))


def write_rare_elition(root: Path) -> Path:
    """Only one subject was scanned on the third scanner."""
    subjects = {"01": (GE, PRISMA, ELITION), "02": (GE, PRISMA), "03": (GE, PRISMA)}
    return travelling_heads(root, subjects)


@pytest.mark.parametrize(
    ("ge_only", "prisma_only", "target"),
    [(["07", "08"], [], PRISMA_LABEL), ([], ["07"], GE_LABEL)],
)
def test_the_default_target_lets_most_scans_be_harmonized(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    ge_only: list[str],
    prisma_only: list[str],
    target: str,
) -> None:
    caplog.set_level(logging.INFO)
    root = write_heads(tmp_path / "data", ["03", "01", "02"], ge_only, prisma_only)
    pair = form_one_pair(root)
    assert pair.target.label == target
    assert [source.subject for source, _ in pair.travelling_scans] == SUBJECTS
    assert target in caplog.text


def test_between_equals_the_target_has_most_directions(tmp_path: Path) -> None:
    subjects = dict.fromkeys(SUBJECTS, (GE, PRISMA))
    shells = {"ge": {0: 1, 1000: 12}}
    pair = form_one_pair(travelling_heads(tmp_path / "data", subjects, shells))
    assert pair.target.model == GE["ManufacturersModelName"]


@pytest.mark.parametrize("target", ["prisma", "66083", PRISMA_LABEL])
def test_a_part_of_the_label_names_the_target(tmp_path: Path, target: str) -> None:
    root = write_heads(tmp_path / "data", SUBJECTS, prisma_only=["04"])
    pair = form_one_pair(root, ScannerSettings(target=target))
    assert pair.name == f"from-{GE_LABEL}_to-{PRISMA_LABEL}"


def test_a_target_must_be_one_scanner_of_the_dataset(tmp_path: Path) -> None:
    inventory = find_inventory(write_heads(tmp_path / "data", SUBJECTS))
    with pytest.raises(InputMissing, match=r"--target Trio.*Prisma66083"):
        form_pairs(inventory, ScannerSettings(target="Trio"))
    with pytest.raises(UsageError, match=r"Prisma66083, SIGNAEXCITE"):
        form_pairs(inventory, ScannerSettings(target="s"))


def test_the_scan_with_most_directions_then_by_name_represents_a_subject(tmp_path: Path) -> None:
    root = write_heads(tmp_path / "data", SUBJECTS)
    for acquisition, directions in {"b": 9, "c": 9, "a": 8}.items():
        name = f"sub-02/ses-ge/dwi/sub-02_ses-ge_acq-{acquisition}_dwi"
        write_tree(root, {name: Series({0: 1, 1000: directions}, GE)})
    pair = form_one_pair(root, TO_PRISMA)
    names = [source.name for source, _ in pair.travelling_scans]
    assert names == ["sub-01_ses-ge", "sub-02_ses-ge_acq-b", "sub-03_ses-ge"]


def test_a_filter_is_suggested_only_for_scans_whose_names_differ(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    root = write_heads(tmp_path / "data", SUBJECTS)
    image = root / "sub-02/ses-ge/dwi/sub-02_ses-ge_dwi.nii.gz"
    image.with_suffix("").write_bytes(gzip.decompress(image.read_bytes()))
    inventory = find_inventory(root)
    assert any("several scans have this output" in finding.value for finding in inventory.findings)
    form_pairs(inventory, TO_PRISMA)
    assert "sub-02_ses-ge, of 2 of sub-02" in caplog.text
    assert "--bids-filter-file" not in caplog.text
    write_tree(root, {"sub-01/ses-ge/dwi/sub-01_ses-ge_run-2_dwi": Series(sidecar=GE)})
    form_pairs(find_inventory(root), TO_PRISMA)
    assert '{"dwi": {"run": "2"}}' in caplog.text


def test_a_second_target_scan_of_as_many_directions_is_a_repeat(tmp_path: Path) -> None:
    """The first by name counts; other directions or the source scanner make no repeat."""
    root = write_heads(tmp_path / "data", SUBJECTS)
    more_directions = Series({0: 1, 1000: 7}, PRISMA)
    tree = {
        "sub-01/ses-siemens/dwi/sub-01_ses-siemens_run-2_dwi": Series(sidecar=PRISMA),
        "sub-02/ses-siemens/dwi/sub-02_ses-siemens_run-3_dwi": Series(sidecar=PRISMA),
        "sub-02/ses-siemens/dwi/sub-02_ses-siemens_run-2_dwi": Series(sidecar=PRISMA),
        "sub-03/ses-siemens/dwi/sub-03_ses-siemens_run-2_dwi": more_directions,
        "sub-03/ses-ge/dwi/sub-03_ses-ge_run-2_dwi": Series(sidecar=GE),
    }
    pair = form_one_pair(write_tree(root, tree), TO_PRISMA)
    targets = {target.subject: target for _, target in pair.travelling_scans}
    assert [(repeat.name, target) for repeat, target in pair.repeats] == [
        ("sub-01_ses-siemens_run-2", targets["01"]),
        ("sub-02_ses-siemens_run-2", targets["02"]),
    ]


def test_pairs_with_too_few_travelling_subjects_are_not_formed(tmp_path: Path) -> None:
    pairing = form_pairs(find_inventory(write_rare_elition(tmp_path / "data")), TO_PRISMA)
    assert [pair.name for pair in pairing.pairs] == [f"from-{GE_LABEL}_to-{PRISMA_LABEL}"]
    (finding,) = pairing.findings
    assert (finding.severity, finding.file) == (
        "warning",
        f"from-{ELITION_LABEL}_to-{PRISMA_LABEL}",
    )
    assert "1 travelling subject, and 3 are needed" in finding.value


def test_without_any_pair_every_scanner_is_listed_with_the_subjects_it_shares(
    tmp_path: Path,
) -> None:
    root = write_heads(tmp_path / "data", ["01", "02"], ge_only=["03"])
    with pytest.raises(BadInput) as error:
        form_pairs(find_inventory(root), DEFAULT)
    dataset, prisma, _ = map(str, error.value.findings)
    assert "3 subjects" in dataset
    assert f"{PRISMA_LABEL}: 2 subjects, of them 2 with {GE_LABEL}" in prisma


def test_target_all_makes_every_scanner_in_turn_the_target(tmp_path: Path) -> None:
    inventory = find_inventory(write_three_scanners(tmp_path / "data"))
    pairs = form_pairs(inventory, ScannerSettings(target="all")).pairs
    labels = {(pair.source.label, pair.target.label) for pair in pairs}
    assert len(pairs) == len(labels) == 6
    assert {label for pair in labels for label in pair} == {GE_LABEL, PRISMA_LABEL, ELITION_LABEL}
    for pair in pairs:
        targets = {target.scanner_label for _, target in pair.travelling_scans}
        assert targets == {pair.target.label}


def test_pairs_that_are_asked_for_are_formed_and_no_others(tmp_path: Path) -> None:
    inventory = find_inventory(write_three_scanners(tmp_path / "data"))
    pairs = form_pairs(inventory, ScannerSettings(pair=("signa:prisma", "45053:signa"))).pairs
    labels = [(pair.source.label, pair.target.label) for pair in pairs]
    assert labels == [(GE_LABEL, PRISMA_LABEL), (ELITION_LABEL, GE_LABEL)]


def test_a_pair_that_is_asked_for_and_cannot_be_trained_is_an_error(tmp_path: Path) -> None:
    inventory = find_inventory(write_rare_elition(tmp_path / "data"))
    settings = ScannerSettings(pair=("elition:prisma", "signa:prisma"))
    message = f"from-{ELITION_LABEL}_to-{PRISMA_LABEL}: 1 travelling"
    with pytest.raises(BadInput, match=message) as error:
        form_pairs(inventory, settings)
    assert len(error.value.findings) == 1


def test_a_pair_is_two_scanners_of_the_dataset(tmp_path: Path) -> None:
    inventory = find_inventory(write_heads(tmp_path / "data", SUBJECTS))
    with pytest.raises(UsageError, match="both Prisma66083"):
        form_pairs(inventory, ScannerSettings(pair=("prisma:66083",)))
    with pytest.raises(InputMissing, match="--pair trio"):
        form_pairs(inventory, ScannerSettings(pair=("trio:prisma",)))


@pytest.mark.parametrize(
    ("acquisition", "expected"),
    [("*", {"z", "few"}), ("few", {"few"}), ([None, "few"], {None, "few"})],
)
def test_a_filter_overrides_which_scan_represents_a_subject(
    tmp_path: Path, acquisition: object, expected: set[str | None]
) -> None:
    root = write_heads(tmp_path / "data", SUBJECTS)
    for subject in SUBJECTS:
        stem = f"sub-{subject}/ses-ge/dwi/sub-{subject}_ses-ge_acq-"
        tree = {f"{stem}z_dwi": Series({0: 1, 1000: 9}, GE)}
        write_tree(root, tree | {f"{stem}few_dwi": Series({0: 1, 1000: 7}, GE)})
    file = tmp_path / "filter.json"
    file.write_text(json.dumps({"dwi": {"acquisition": acquisition}, "t1w": {"run": 1}}))
    inventory = find_inventory(root, bids_filter_file=file)
    assert {scan.entities.get("acquisition") for scan in inventory.scans} == expected
    if None in expected:
        (pair,) = form_pairs(inventory, TO_PRISMA).pairs
        names = {source.name for source, _ in pair.travelling_scans}
        assert names == {f"sub-{subject}_ses-ge_acq-few" for subject in SUBJECTS}
