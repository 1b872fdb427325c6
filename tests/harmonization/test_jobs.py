from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.harmonization.jobs import HarmonizeJob, digest_inputs, make_harmonize_jobs
from bids_shresnet.harmonization.options import HarmonizeOptions
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.pairs import ExcludedScan
from bids_shresnet.scans import Scan, Scanner
from tests.factories import make_scan
from tests.harmonization.harmonizing import change_what_is_not_signal
from tests.models import constant_model


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    root = tmp_path / "bids"
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "x"}')
    return root


@pytest.fixture
def scan(dataset: Path) -> Scan:
    stem = dataset / "sub-04" / "dwi" / "sub-04_dwi"
    bvals = (0.0, *[1000.0] * 12)
    return make_scan(stem, subject="04", scanner=Scanner("GE"), bvals=bvals, dataset=dataset)


def make_jobs(
    scans: list[Scan], models: list[Model], **options: Any
) -> tuple[tuple[HarmonizeJob, ...], tuple[ExcludedScan, ...]]:
    return make_harmonize_jobs(
        scans,
        models,
        options=HarmonizeOptions(**options),
        bids_dir=scans[0].dataset,
        root=Path("/out"),
    )


def write_files(scan: Scan) -> None:
    """Write something into the files of a scan, so that they have digests."""
    for path in scan.files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content")


OTHER_OPTIONS = {
    "method": "shresnet_projected",
    "output_directions": "target",
    "noise": "target",
    "should_abstain": True,
    "should_predict_missing": True,
    "output_type": "float32",
}


def test_the_digest_of_the_inputs_depends_on_every_option_but_the_device(
    scan: Scan, tmp_path: Path
) -> None:
    write_files(scan)
    model = constant_model(tmp_path / "m", scan.dataset, missing=0.2)
    assert {field.name for field in fields(HarmonizeOptions)} == {*OTHER_OPTIONS, "device"}
    ((plain,), _) = make_jobs([scan], [model])
    digests = {digest_inputs(plain, model)}
    for name, value in OTHER_OPTIONS.items():
        ((job,), _) = make_jobs([scan], [model], **{name: value})
        digests.add(digest_inputs(job, model))
    assert len(digests) == 1 + len(OTHER_OPTIONS)
    other_model = constant_model(tmp_path / "m", scan.dataset, missing=0.2, seed=2)
    assert digest_inputs(plain, other_model) not in digests
    ((on_gpu,), _) = make_jobs([scan], [model], device="cuda")
    assert digest_inputs(on_gpu, model) in digests


def test_the_digest_of_the_inputs_depends_on_the_segmentation_and_the_metadata(
    scan: Scan, tmp_path: Path
) -> None:
    write_files(scan)
    model = constant_model(tmp_path / "m", scan.dataset)
    ((plain,), _) = make_jobs([scan], [model])
    digests = {digest_inputs(plain, model)}
    for changed in change_what_is_not_signal(scan, tmp_path / "dseg.nii.gz"):
        ((job,), _) = make_jobs([changed], [model])
        digests.add(digest_inputs(job, model))
    assert len(digests) == 5


def test_with_several_targets_each_has_its_own_name(scan: Scan, tmp_path: Path) -> None:
    prisma = constant_model(tmp_path / "Prisma", scan.dataset, target="Prisma")
    skyra = constant_model(tmp_path / "Skyra", scan.dataset, target="Skyra")
    single, _ = make_jobs([scan], [prisma])
    both, _ = make_jobs([scan], [prisma, skyra])
    assert [job.outputs.desc for job in single] == ["harmonized"]
    assert [job.outputs.desc for job in both] == ["harmonizedToPrisma", "harmonizedToSkyra"]


def test_the_target_is_named_even_where_the_other_model_is_of_another_source(
    scan: Scan, tmp_path: Path
) -> None:
    there = constant_model(tmp_path / "there", scan.dataset, target="Prisma")
    back = constant_model(tmp_path / "back", scan.dataset, source="Prisma", target="GE")
    jobs, _ = make_jobs([scan], [there, back])
    assert [job.outputs.desc for job in jobs] == ["harmonizedToPrisma"]


def test_a_scan_with_shells_unknown_to_the_model_is_excluded_with_both_b_values(
    scan: Scan, tmp_path: Path
) -> None:
    model = constant_model(tmp_path / "m", scan.dataset)
    other_scan = replace(scan, bvals=(0.0, *[2000.0] * 12), image=scan.image.with_name("other"))
    jobs, excluded = make_jobs([scan, other_scan], [model])
    assert [job.scan for job in jobs] == [scan]
    assert [item.image for item in excluded] == [other_scan.image]
    assert "1000" in excluded[0].reason
    assert "2000" in excluded[0].reason


def test_a_scan_of_a_scanner_without_a_model_gets_no_job(scan: Scan, tmp_path: Path) -> None:
    model = constant_model(tmp_path / "m", scan.dataset, source="Achieva")
    assert make_jobs([scan], [model]) == ((), ())
    assert make_jobs([replace(scan, scanner=None)], [model]) == ((), ())


def test_only_a_subject_of_the_models_own_dataset_is_travelling(scan: Scan, tmp_path: Path) -> None:
    model = constant_model(tmp_path / "m", scan.dataset)
    travelling = replace(scan, entities={"subject": "01"})
    (first, second), _ = make_jobs([travelling, scan], [model])
    assert first.is_travelling
    assert not second.is_travelling
    other_dataset = tmp_path / "other"
    other_dataset.mkdir()
    (other_dataset / "dataset_description.json").write_text('{"Name": "y"}')
    (job,), _ = make_jobs([replace(travelling, dataset=other_dataset)], [model])
    assert not job.is_travelling


def test_an_edited_description_is_warned_about_once_and_leaks_no_training_scan(
    scan: Scan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = constant_model(tmp_path / "m", scan.dataset)
    travelling = [replace(scan, entities={"subject": subject}) for subject in ("01", "02")]
    make_jobs([*travelling, scan], [model])
    assert not caplog.records
    description = '{"Name": "x", "DatasetDOI": "doi:10.0.0.0/2"}'
    (scan.dataset / "dataset_description.json").write_text(description)
    jobs, _ = make_jobs([*travelling, scan], [model])
    assert [job.select_fit(model).test for job in jobs] == [("01",), ("02",), ()]
    (record,) = caplog.records
    assert "sub-01, sub-02" in record.message
    assert "sub-04" not in record.message
