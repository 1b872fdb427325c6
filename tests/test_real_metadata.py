"""Dry runs of two travelling-head studies: their sidecars and gradient tables, without images."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.cli.app import main
from tests.real_data import TEST_DATA, needs_test_data

ARCHIVES = ("on-harmony-metadata.tar.gz", "thp-metadata.tar.gz")
BAD_INPUT = 65  # the exit code, since the images are missing
# Subjects on each scanner, as the README of the study says
ON_HARMONY = {
    "Achieva17057": 20,
    "Ingenia71459": 20,
    "MR75000000000269MRS04": 10,
    "Prisma66050": 20,
    "Prisma66093": 20,
    "SIGNAPremier00000000269MRS04": 10,
    "SIGNAPremier00000070328MRS06": 10,
    "TrioTim35031": 10,
}
# Scanners of the first ten subjects only, and of the last ten only
PHASE_A = {"MR75000000000269MRS04", "TrioTim35031"}
PHASE_B = {"SIGNAPremier00000000269MRS04", "SIGNAPremier00000070328MRS06"}
THP_SCANS = 319
THP_SITES = ["CCF", "DART", "IOWA", "JHU", "MGH", "UCI", "UMN", "UW"]
THP_SITE_PATTERN = "ses-THP([0-9]{4}|BALL)(?P<scanner>[A-Z]+)[0-9]"

pytestmark = [pytest.mark.slow, needs_test_data(*ARCHIVES)]


@dataclass(frozen=True)
class DryRun:
    """The answer of a dry run: exit code, JSON document and messages."""

    exit_code: int
    document: dict[str, Any]
    messages: str


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    for name in ARCHIVES:
        with tarfile.open(TEST_DATA / name) as archive:
            archive.extractall(folder, filter="data")
    return folder


def dry_run(root: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> DryRun:
    command = [str(root), str(root.parent / "out"), "participant", "--dry-run", "--json"]
    exit_code = main([*command, *flags])
    output = capsys.readouterr()
    return DryRun(exit_code, json.loads(output.out), output.err)


def partners_on_harmony(target: str) -> dict[str, int]:
    """Travelling subjects of each pair with a target, by source."""
    other_phase: set[str] = set()
    if target in PHASE_A:
        other_phase = PHASE_B
    elif target in PHASE_B:
        other_phase = PHASE_A
    sources = {source for source in ON_HARMONY if source != target} - other_phase
    return {source: min(ON_HARMONY[source], ON_HARMONY[target]) for source in sources}


def scanners_with_conflict(document: dict[str, Any], text: str) -> set[str]:
    """Labels of the scanners with a text in their conflicts."""
    scanners = document["scanners"]
    return {scanner["label"] for scanner in scanners if text in " ".join(scanner["conflicts"])}


@pytest.mark.parametrize("target", ["TrioTim35031", "Ingenia71459", "SIGNAPremier00000070328MRS06"])
def test_on_harmony_has_eight_scanners_and_their_travelling_subjects(
    studies: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    run = dry_run(studies / "on-harmony", capsys, "--target", target)
    assert run.exit_code == BAD_INPUT
    scanners = {scanner["label"]: scanner["subjects"] for scanner in run.document["scanners"]}
    assert scanners == ON_HARMONY
    pairs = {pair["source"]: len(pair["travelling"]) for pair in run.document["pairs"]}
    assert pairs == partners_on_harmony(target)
    scans = run.document["scans"]
    b0_scans = [scan for scan in scans if scan["reason"].startswith("only b=0 images")]
    assert len(b0_scans) == 135
    assert all(scan["roles"] == [] for scan in b0_scans)
    assert len(scans) == 330


def test_contradictions_in_on_harmony_are_named(
    studies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = dry_run(studies / "on-harmony", capsys, "--target", "Trio").document
    shared_serial = "one serial number, 00000000269MRS04"
    assert scanners_with_conflict(document, shared_serial) == {
        "MR75000000000269MRS04",
        "SIGNAPremier00000000269MRS04",
    }
    assert scanners_with_conflict(document, "InstitutionName") == {"TrioTim35031"}
    assert scanners_with_conflict(document, "SoftwareVersions") == {"Achieva17057", "Ingenia71459"}


def test_thp_stops_with_the_missing_field_and_the_flag(
    studies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = dry_run(studies / "thp", capsys)
    assert run.exit_code == BAD_INPUT
    assert run.document["scanners"] == run.document["pairs"] == []
    (finding,) = [item for item in run.document["findings"] if "unknown scanner" in item["value"]]
    assert "its sidecars lack DeviceSerialNumber" in finding["value"]
    assert len(finding["files"]) == THP_SCANS


def test_thp_has_eight_sites_and_no_phantom_if_told_so(
    studies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site_flags = ("--scanner-from", THP_SITE_PATTERN, "--target", "IOWA")
    phantom_flags = ("--exclude-participant-label", "THPBALL")
    document = dry_run(studies / "thp", capsys, *site_flags, *phantom_flags).document
    assert [scanner["label"] for scanner in document["scanners"]] == THP_SITES
    assert [len(pair["travelling"]) for pair in document["pairs"]] == [5] * 7
    phantom_scans = [scan for scan in document["scans"] if scan["subject"] == "THPBALL"]
    assert phantom_scans
    for scan in phantom_scans:
        assert scan["roles"] == []
        assert scan["reason"] == "not asked for (--exclude-participant-label)"
