from __future__ import annotations

import csv
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_shresnet.config import Config
from bids_shresnet.harmonization.derive import DeriveJob, write_tensor_maps
from bids_shresnet.harmonization.harmonize import (
    HarmonizeJob,
    make_harmonize_jobs,
    write_harmonized_dwi,
)
from bids_shresnet.io.storage import read_json
from bids_shresnet.planning.discover import find_scans
from bids_shresnet.scans import Scan
from tests.models import constant_model

BVALUE = 1200.0  # of the target; the source has 1000


@pytest.fixture(scope="module")
def scan(phantom: Path) -> Scan:
    found = find_scans(
        Config(phantom / "bids", Path("out"), "participant"), is_identity_required=True
    ).scans
    return next(scan for scan in found if scan.subject == "04")


def harmonized(scan: Scan, root: Path, *targets: str) -> tuple[HarmonizeJob, ...]:
    """Half of S0 in all directions, for each target."""
    assert scan.scanner is not None
    models = [
        constant_model(
            root / "models" / name,
            scan.dataset,
            signals=(0.5, 0.5, 0.5),
            source=scan.scanner.label,
            target=name,
            target_bvalue=BVALUE,
        )
        for name in targets
    ]
    config = Config(scan.dataset, root, "participant")
    jobs, _ = make_harmonize_jobs([scan], models, config, root)
    for job in jobs:
        write_harmonized_dwi(job)
    return jobs


@pytest.fixture(scope="module")
def job(scan: Scan, tmp_path_factory: pytest.TempPathFactory) -> DeriveJob:
    root = tmp_path_factory.mktemp("out")
    (done,) = harmonized(scan, root, "Prisma")
    job = DeriveJob(scan, root, done.desc)
    assert write_tensor_maps(job)
    return job


def image(job: DeriveJob, param: str, desc: str) -> nib.Nifti1Image:
    return nib.load(job.output(".nii.gz", desc=desc, suffix="dwimap", param=param))


def brain(job: DeriveJob) -> np.ndarray:
    return nib.load(job.output(".nii.gz", desc="brain", suffix="mask")).get_fdata() > 0


def test_the_same_loss_in_all_directions_is_isotropic_with_the_closed_form_diffusivity(
    job: DeriveJob,
) -> None:
    """S = S0 exp(-b D): half of S0 at the target's b-value means FA = 0 and D = ln 2 / b."""
    b0s = nib.load(job.scan.image).get_fdata()[..., np.array(job.scan.bvals) < 50]
    measured = brain(job) & (
        np.ptp(b0s, axis=-1) < 0.2 * b0s.mean(-1)
    )  # the mean of a log is not the log of the mean
    assert measured.sum() > 0.5 * brain(job).sum()
    assert image(job, "fa", "harmonized").get_fdata()[measured].max() < 0.02
    np.testing.assert_allclose(
        image(job, "md", "harmonized").get_fdata()[measured], np.log(2) / BVALUE, rtol=0.02
    )


def test_maps_lie_on_the_scans_grid_and_are_zero_outside_the_brain(job: DeriveJob) -> None:
    scan = nib.load(job.scan.image)
    for param in ("fa", "md"):
        for desc in ("input", "harmonized"):
            found = image(job, param, desc)
            assert found.shape == scan.shape[:3]
            np.testing.assert_allclose(found.affine, scan.affine, atol=1e-5)
            assert not found.get_fdata()[~brain(job)].any()
            assert np.isfinite(found.get_fdata()).all()


def test_the_table_holds_the_means_of_the_maps(job: DeriveJob) -> None:
    with job.output(".tsv", desc="harmonization", suffix="qc").open(newline="") as file:
        rows = {row["dwi"]: row for row in csv.DictReader(file, delimiter="\t")}
    assert list(rows) == ["input", "harmonized"]
    mask = brain(job)
    for desc, row in rows.items():
        for param in ("fa", "md"):
            values = image(job, param, desc).get_fdata()[mask]
            assert float(row[f"{param}_mean"]) == pytest.approx(values.mean(), rel=1e-4)
            assert float(row[f"{param}_median"]) == pytest.approx(np.median(values), rel=1e-4)
        assert float(row["brain_volume"]) == pytest.approx(
            mask.sum() * 8.0**3 / 1000, rel=1e-3
        )  # ml of 8 mm voxels


def test_sidecars_name_the_dwi_a_map_was_made_from(job: DeriveJob) -> None:
    for param in ("fa", "md"):
        before, after = (
            read_json(job.output(".json", desc=desc, suffix="dwimap", param=param))
            for desc in ("input", "harmonized")
        )
        assert before["Sources"] == ["bids:raw:sub-04/ses-ge/dwi/sub-04_ses-ge_dwi.nii.gz"]
        assert after["Sources"] == [
            "bids::sub-04/ses-ge/dwi/sub-04_ses-ge_desc-harmonized_dwi.nii.gz"
        ]
        assert "Harmonization" in after
        assert "Harmonization" not in before
        assert before.get("Units") == after.get("Units") == ({"fa": None, "md": "mm^2/s"}[param])


def test_maps_are_made_once_for_each_harmonized_scan(job: DeriveJob) -> None:
    assert not write_tensor_maps(job)
    job.output(".json", desc="harmonization", suffix="qc").unlink()
    assert write_tensor_maps(job)


def test_several_targets_do_not_overwrite_each_other(scan: Scan, tmp_path: Path) -> None:
    jobs = [
        DeriveJob(scan, tmp_path, job.desc) for job in harmonized(scan, tmp_path, "Prisma", "Skyra")
    ]
    assert [write_tensor_maps(job) for job in jobs] == [True, True]
    assert [write_tensor_maps(job) for job in jobs] == [False, False]


def test_maps_are_of_what_was_measured_not_of_predicted_shells(scan: Scan, tmp_path: Path) -> None:
    """A predicted shell of half of S0 at b = 2500, where ln 2 / 1200 leaves a quarter, would pull MD down."""
    maps = []
    for missing in (None, 0.5):
        assert scan.scanner is not None
        root = tmp_path / str(missing)
        settings = {"source": scan.scanner.label, "target_bvalue": BVALUE, "missing": missing}
        model = constant_model(root / "models" / "m", scan.dataset, signals=(0.5,) * 3, **settings)
        asked = Config(scan.dataset, root, "participant", predict_missing_shells=True)
        (job,), _ = make_harmonize_jobs([scan], [model], asked, root)
        write_harmonized_dwi(job)
        done = DeriveJob(scan, root, job.desc)
        assert write_tensor_maps(done)
        maps.append(image(done, "md", "harmonized").get_fdata())
    np.testing.assert_array_equal(*maps)
