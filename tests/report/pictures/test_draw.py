from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from bids_shresnet.config import InputSettings, ScannerSettings
from bids_shresnet.harmonization.harmonize import write_harmonized_scan
from bids_shresnet.harmonization.jobs import make_harmonize_jobs
from bids_shresnet.harmonization.options import HarmonizeOptions
from bids_shresnet.io.storage import read_json, write_json
from bids_shresnet.outputs.layout import ScanOutputs
from bids_shresnet.planning.discover import find_scans
from bids_shresnet.report.page import MINUS
from bids_shresnet.report.pictures.draw import PictureJob, write_pictures
from bids_shresnet.report.pictures.gallery import read_gallery
from bids_shresnet.scans import Scan
from tests.models import constant_model


@pytest.fixture(scope="module")
def scan(phantom: Path) -> Scan:
    settings = InputSettings(phantom / "bids")
    scans = find_scans(settings, ScannerSettings(), is_identity_required=True).scans
    return next(scan for scan in scans if scan.subject == "04")


@pytest.fixture(scope="module")
def outputs(scan: Scan, tmp_path_factory: pytest.TempPathFactory) -> ScanOutputs:
    """Outputs of a scan whose harmonized signal is half of S0 in all directions."""
    root = tmp_path_factory.mktemp("out")
    model = constant_model(
        root / "models/Prisma",
        scan.dataset,
        signals=(0.5,) * 3,
        source=scan.scanner_label,
        error=0.02,
    )
    (job,), _ = make_harmonize_jobs(
        [scan], [model], options=HarmonizeOptions(), bids_dir=scan.dataset, root=root
    )
    write_harmonized_scan(job)
    return ScanOutputs(scan, root)


@pytest.fixture(scope="module")
def self_job(scan: Scan, outputs: ScanOutputs) -> PictureJob:
    """The pictures of a scan that is also taken for the target's scan."""
    job = PictureJob(outputs, target=scan)
    assert write_pictures(job)
    return job


def record(job: PictureJob) -> dict[str, Any]:
    return cast("dict[str, Any]", read_json(job.record_path))


def test_a_scan_agrees_with_itself(self_job: PictureJob) -> None:
    rows = [row for row in record(self_job)["Target"]["Agreement"] if row["Time"] == "before"]
    assert {row["Quantity"] for row in rows} >= {"MD"}
    for row in rows:
        assert row["bias"] == pytest.approx(0, abs=1e-3 * row["TargetMean"])
        assert row["correlation"] == pytest.approx(1, abs=1e-2)


def test_a_scan_lies_on_itself(self_job: PictureJob) -> None:
    registration = record(self_job)["Target"]["Registration"]
    assert registration["RotationDegrees"] == pytest.approx(0, abs=0.5)
    assert registration["ShiftMillimetres"] == pytest.approx(0, abs=0.5)
    assert registration["MeasuredShare"] == pytest.approx(1, abs=0.02)
    assert registration["WhiteMatterDice"] == pytest.approx(1, abs=0.02)


def test_regions_are_the_targets_tissues_if_they_are_known_else_the_scans_own(
    outputs: ScanOutputs, self_job: PictureJob
) -> None:
    assert "those of the target's scan" in record(self_job)["Regions"]["From"]
    alone = PictureJob(outputs, target=None)
    write_pictures(alone)
    assert "those of this scan" in record(alone)["Regions"]["From"]


def test_the_acquisition_of_both_scans_is_recorded(scan: Scan, self_job: PictureJob) -> None:
    self_job.record_path.unlink(missing_ok=True)
    write_pictures(self_job)
    rows = {row["Property"]: row for row in record(self_job)["Acquisition"]}
    assert int(rows["Volumes"]["Scan"]) == len(scan.bvals)
    assert rows["Matrix"]["Scan"] == rows["Matrix"]["Target"]


def test_pictures_of_the_target_exist_only_if_it_was_measured(
    outputs: ScanOutputs, self_job: PictureJob
) -> None:
    panels = {panel.title: panel for panel in read_gallery(self_job.record_path).panels}
    assert set(panels["Brain mask, tissues and registration"].pictures) == {"before", "target"}
    for title in ("Mean diffusivity", "One DWI volume"):
        assert set(panels[title].pictures) == {"before", "after", "target"}
    assert write_pictures(PictureJob(outputs, target=None))
    gallery = read_gallery(self_job.record_path)
    labels = {label for panel in gallery.panels for label in panel.pictures}
    states = {"before", "after", f"after {MINUS} before"}
    assert labels == states | {"angle", "power", "novelty", "uncertainty"}
    assert "no usable scan of the target scanner" in gallery.record["Target"]["Missing"]


def test_an_unreadable_target_scan_is_named_and_changes_nothing_else(
    scan: Scan, outputs: ScanOutputs
) -> None:
    missing = replace(scan, image=scan.image.with_name("missing.nii.gz"))
    job = PictureJob(outputs, target=missing)
    assert write_pictures(job)
    assert "missing.nii.gz" in record(job)["Target"]["Missing"]


def test_a_target_scan_without_the_models_shells_is_another_measurement(
    scan: Scan, outputs: ScanOutputs
) -> None:
    other_shells = replace(scan, bvals=tuple(2 * bvalue for bvalue in scan.bvals))
    job = PictureJob(outputs, target=other_shells)
    job.record_path.unlink(missing_ok=True)
    assert write_pictures(job)
    assert "another measurement: no shell at b = 1000" in record(job)["Target"]["Missing"]


def test_a_missing_figure_is_drawn_again_with_the_same_bytes(outputs: ScanOutputs) -> None:
    job = PictureJob(outputs, target=None)
    write_pictures(job)
    assert not write_pictures(job)
    (figure,) = job.record_path.parent.glob("*_desc-angle_dwi.png")
    png = figure.read_bytes()
    figure.unlink()
    assert write_pictures(job)
    assert figure.read_bytes() == png


def test_figures_are_drawn_again_if_the_harmonized_scan_changed(outputs: ScanOutputs) -> None:
    job = PictureJob(outputs, target=None)
    write_pictures(job)
    path = outputs.dwi(".json")
    sidecar = read_json(path)
    write_json(path, sidecar | {"Checksum": [{"ChecksumValue": "another"}]})
    assert write_pictures(job)
    write_json(path, sidecar)
