from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bids_shresnet.config import InputSettings, ScannerSettings
from bids_shresnet.harmonization.derive import write_tensor_maps
from bids_shresnet.harmonization.harmonize import write_harmonized_scan
from bids_shresnet.harmonization.jobs import make_harmonize_jobs
from bids_shresnet.harmonization.options import HarmonizeOptions
from bids_shresnet.io.nifti import read_volume
from bids_shresnet.io.storage import read_json, write_json
from bids_shresnet.outputs.layout import TENSOR_PARAMETERS, ScanOutputs
from bids_shresnet.planning.discover import find_scans
from bids_shresnet.report.pictures.draw import PictureJob, write_pictures
from bids_shresnet.report.pictures.gallery import read_gallery
from bids_shresnet.scans import Scan
from tests.models import constant_model


@pytest.fixture(scope="module")
def scan(phantom: Path) -> Scan:
    found = find_scans(
        InputSettings(phantom / "bids"), ScannerSettings(), is_identity_required=True
    ).scans
    return next(scan for scan in found if scan.subject == "04")


@pytest.fixture(scope="module")
def root(scan: Scan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output with a scan whose signal is half of S0 in all directions."""
    out = tmp_path_factory.mktemp("out")
    model = constant_model(
        out / "models/Prisma", scan.dataset, signals=(0.5,) * 3, source=scan.scanner_label
    )
    (job,), _ = make_harmonize_jobs(
        [scan], [model], options=HarmonizeOptions(), bids_dir=scan.dataset, root=out
    )
    write_harmonized_scan(job)
    write_tensor_maps(job.outputs)
    return out


@pytest.fixture(scope="module")
def beside_itself(scan: Scan, root: Path) -> PictureJob:
    """The scan with itself in the target's place."""
    job = PictureJob(ScanOutputs(scan, root), scan)
    assert write_pictures(job)
    return job


def numbers(job: PictureJob) -> dict[str, Any]:
    found: dict[str, Any] = read_json(job.record_path)
    return found


def test_a_scan_agrees_with_itself(beside_itself: PictureJob) -> None:
    rows = [row for row in numbers(beside_itself)["Target"]["Agreement"] if row["Time"] == "before"]
    assert {row["Quantity"] for row in rows} >= {"MD"}
    for row in rows:
        assert row["bias"] == pytest.approx(0, abs=1e-3 * row["TargetMean"])
        assert row["correlation"] == pytest.approx(1, abs=1e-2)


def test_means_of_regions_are_those_of_the_maps(scan: Scan, beside_itself: PictureJob) -> None:
    outputs = beside_itself.outputs
    maps = {p: read_volume(outputs.tensor_map(p, "input"))[0] for p in TENSOR_PARAMETERS}
    after = {p: read_volume(outputs.tensor_map(p, "harmonized"))[0] for p in TENSOR_PARAMETERS}
    mean_fa, mean_md = ((maps[param] + after[param]) / 2 for param in ("fa", "md"))
    judged = read_volume(outputs.novelty)[0] > 0
    means = numbers(beside_itself)["Regions"]["Means"]
    tracts = next(row for row in means if row["Region"] == "FA > 0.3")
    where = (mean_fa > 0.3) & (mean_md > 0) & (mean_md < 1.2e-3) & judged
    assert tracts["Voxels"] == where.sum()
    assert tracts["FA"]["before"] == pytest.approx(maps["fa"][where].mean(), rel=1e-4)
    assert tracts["MD"]["after"] == pytest.approx(np.log(2) / 1000, rel=0.05)


def test_pictures_of_what_the_target_measured_are_only_there_where_it_did(
    scan: Scan, root: Path, beside_itself: PictureJob
) -> None:
    labels = {
        one.title: set(one.pictures) for one in read_gallery(beside_itself.record_path).panels
    }
    assert labels["Mean diffusivity"] == labels["One DWI volume"] == {"before", "after", "target"}
    assert write_pictures(PictureJob(ScanOutputs(scan, root), None))
    alone = read_gallery(beside_itself.record_path)
    assert {label for one in alone.panels for label in one.pictures} == {
        *("before", "after", "after \N{MINUS SIGN} before"),
        *("angle", "power", "novelty", "uncertainty"),
    }
    assert "no usable scan of the target scanner" in alone.record["Target"]["Missing"]


def test_a_target_scan_that_cannot_be_read_is_named_and_hinders_nothing(
    scan: Scan, root: Path
) -> None:
    gone = replace(scan, image=scan.image.with_name("gone.nii.gz"))
    job = PictureJob(ScanOutputs(scan, root), gone)
    assert write_pictures(job)
    assert "gone.nii.gz" in numbers(job)["Target"]["Missing"]


def test_a_target_scan_without_the_models_shells_is_another_measurement(
    scan: Scan, root: Path
) -> None:
    other = replace(scan, bvals=tuple(2 * b for b in scan.bvals))
    job = PictureJob(ScanOutputs(scan, root), other)
    job.record_path.unlink(missing_ok=True)
    assert write_pictures(job)
    assert "another measurement: no shell at b = 1000" in numbers(job)["Target"]["Missing"]


def test_figures_are_drawn_again_only_if_something_changed(scan: Scan, root: Path) -> None:
    job = PictureJob(ScanOutputs(scan, root), None)
    write_pictures(job)
    assert not write_pictures(job)
    (drawn,) = job.record_path.parent.glob("*_desc-angle_dwi.png")
    before = drawn.read_bytes()
    drawn.unlink()
    assert write_pictures(job)
    assert drawn.read_bytes() == before
    sidecar = root / "sub-04/ses-ge/dwi/sub-04_ses-ge_desc-harmonized_dwi.json"
    record = read_json(sidecar)
    write_json(sidecar, record | {"Checksum": [{"ChecksumValue": "another"}]})
    assert write_pictures(job)
    write_json(sidecar, record)
