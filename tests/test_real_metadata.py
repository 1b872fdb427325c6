"""Sidecars and gradient tables of two travelling-head studies, without images; skipped where they are not at hand."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.cli.app import main
from tests.real_data import TEST_DATA, needs_test_data

ARCHIVES = ("on-harmony-metadata.tar.gz", "thp-metadata.tar.gz")
ON_HARMONY = {  # subjects on each scanner, as the study's README says
    "Achieva17057": 20,
    "Ingenia71459": 20,
    "MR75000000000269MRS04": 10,
    "Prisma66050": 20,
    "Prisma66093": 20,
    "SIGNAPremier00000000269MRS04": 10,
    "SIGNAPremier00000070328MRS06": 10,
    "TrioTim35031": 10,
}
PHASE_A = {"MR75000000000269MRS04", "TrioTim35031"}  # used with the first ten subjects only
PHASE_B = {"SIGNAPremier00000000269MRS04", "SIGNAPremier00000070328MRS06"}  # with the last ten only
SITES = ["CCF", "DART", "IOWA", "JHU", "MGH", "UCI", "UMN", "UW"]
SITE = "ses-THP([0-9]{4}|BALL)(?P<scanner>[A-Z]+)[0-9]"

pytestmark = needs_test_data(*ARCHIVES)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    for name in ARCHIVES:
        with tarfile.open(TEST_DATA / name) as archive:
            archive.extractall(folder, filter="data")
    return folder


def dry_run(
    root: Path, capsys: pytest.CaptureFixture[str], *flags: str
) -> tuple[int, dict[str, Any], str]:
    """Exit code, document and messages; 65 is for the images that are not there."""
    code = main([str(root), str(root.parent / "out"), "participant", "--dry-run", "--json", *flags])
    shown = capsys.readouterr()
    return code, json.loads(shown.out), shown.err


@pytest.mark.parametrize("target", ["TrioTim35031", "Ingenia71459", "SIGNAPremier00000070328MRS06"])
def test_on_harmony_has_eight_scanners_and_their_travelling_subjects(
    studies: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    code, said, _ = dry_run(studies / "on-harmony", capsys, "--target", target)
    assert code == 65
    assert {scanner["label"]: scanner["subjects"] for scanner in said["scanners"]} == ON_HARMONY
    apart = PHASE_B if target in PHASE_A else PHASE_A if target in PHASE_B else set()
    expected = {
        s: min(n, ON_HARMONY[target])
        for s, n in ON_HARMONY.items()
        if s != target and s not in apart
    }
    assert {pair["source"]: len(pair["travelling"]) for pair in said["pairs"]} == expected
    b0_only = [
        scan["file"] for scan in said["scans"] if scan["reason"].startswith("only b=0 images")
    ]
    assert len(b0_only) == 135
    assert not any(scan["roles"] for scan in said["scans"] if scan["file"] in b0_only)
    assert len(said["scans"]) == 330


def test_on_harmonys_contradictions_are_named(
    studies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, said, _ = dry_run(studies / "on-harmony", capsys, "--target", "Trio")
    conflicts = {scanner["label"]: " ".join(scanner["conflicts"]) for scanner in said["scanners"]}
    shared = {
        label for label, text in conflicts.items() if "one serial number, 00000000269MRS04" in text
    }
    assert shared == {"MR75000000000269MRS04", "SIGNAPremier00000000269MRS04"}
    assert {label for label, text in conflicts.items() if "InstitutionName" in text} == {
        "TrioTim35031"
    }
    assert {label for label, text in conflicts.items() if "SoftwareVersions" in text} == {
        "Achieva17057",
        "Ingenia71459",
    }


def test_thp_stops_with_what_is_missing_and_the_flag(
    studies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, messages = dry_run(studies / "thp", capsys)
    assert (code, said["scanners"], said["pairs"]) == (65, [], [])
    assert "its sidecars lack DeviceSerialNumber" in messages
    assert "--scanner-from" in messages


def test_thp_has_eight_sites_and_no_phantom_when_told_so(
    studies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--scanner-from", SITE, "--target", "IOWA", "--exclude-participant-label", "THPBALL")
    _, said, _ = dry_run(studies / "thp", capsys, *flags)
    assert [scanner["label"] for scanner in said["scanners"]] == SITES
    assert [len(pair["travelling"]) for pair in said["pairs"]] == [5] * 7
    phantom = {
        (*scan["roles"], scan["reason"]) for scan in said["scans"] if scan["subject"] == "THPBALL"
    }
    assert phantom == {("not asked for (--exclude-participant-label)",)}
