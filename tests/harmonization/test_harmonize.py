from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bids_shresnet.config import InputSettings, ScannerSettings
from bids_shresnet.harmonization.harmonize import write_harmonized_scan
from bids_shresnet.harmonization.jobs import HarmonizeJob, make_harmonize_jobs
from bids_shresnet.harmonization.options import HarmonizeOptions
from bids_shresnet.inputs.load_scan import load_scan
from bids_shresnet.io.storage import read_json, write_tsv
from bids_shresnet.outputs.json_records import to_json
from bids_shresnet.outputs.model_card import (
    BaselineAnswer,
    SpreadCalibration,
    SpreadGroup,
    Validation,
)
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.planning.discover import find_scans
from bids_shresnet.scans import Scan
from tests.datasets import spiral
from tests.models import constant_model


@pytest.fixture(scope="module")
def scans(phantom: Path) -> dict[str, Scan]:
    """Source scans by subject."""
    inputs = InputSettings(phantom / "bids")
    inventory = find_scans(inputs, ScannerSettings(), is_identity_required=True)
    return {scan.subject: scan for scan in inventory.scans if scan.entities["session"] == "ge"}


@pytest.fixture
def model(scans: dict[str, Scan], tmp_path: Path) -> Model:
    """Folds 1, 2, 3 hold out 01, 02, 03 and predict 0.4, 0.5, 0.9 everywhere."""
    return make_model(tmp_path / "model", scans["01"])


def make_model(folder: Path, scan: Scan, **changes: Any) -> Model:
    return constant_model(folder, scan.dataset, source=scan.scanner_label, **changes)


def make_job(scan: Scan, model: Model, root: Path, **options: Any) -> HarmonizeJob:
    (job,), _ = make_harmonize_jobs(
        [scan],
        [model],
        options=HarmonizeOptions(**options),
        bids_dir=scan.dataset,
        root=root,
    )
    return job


def write_job(scan: Scan, model: Model, root: Path, **options: Any) -> HarmonizeJob:
    job = make_job(scan, model, root, **options)
    assert write_harmonized_scan(job)
    return job


def read_image(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).get_fdata())


def is_b0(scan: Scan) -> np.ndarray:
    return np.asarray(scan.bvals) < 50


def harmonization_record(job: HarmonizeJob) -> dict[str, Any]:
    return dict(read_json(job.outputs.dwi(".json"))["Harmonization"])


def harmonized_attenuation(job: HarmonizeJob) -> np.ndarray:
    """S/S0 of the scan's own weighted volumes inside the mask, where S0 was measured."""
    b0s = is_b0(job.scan)
    s0 = read_image(job.scan.image)[..., b0s].mean(-1)
    measured = (read_image(job.outputs.mask) > 0) & (s0 > 0)
    harmonized = read_image(job.outputs.dwi())[measured]
    return np.asarray(harmonized[:, ~b0s] / s0[measured][:, None])


@pytest.mark.parametrize(
    ("subject", "expected"), [("01", 0.4), ("02", 0.5), ("03", 0.9), ("04", 0.6)]
)
def test_signal_is_s0_times_the_prediction_of_the_held_out_fold_or_the_mean_of_all(
    subject: str, expected: float, scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    job = write_job(scans[subject], model, tmp_path / "out")
    np.testing.assert_allclose(harmonized_attenuation(job), expected, rtol=2e-3)


def test_signal_outside_the_mask_is_as_measured(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    job = write_job(scans["04"], model, tmp_path / "out")
    outside = read_image(job.outputs.mask) == 0
    measured = read_image(job.scan.image)[outside]
    np.testing.assert_array_equal(read_image(job.outputs.dwi())[outside], measured)


def test_the_sidecar_names_the_networks_and_whether_the_subject_was_trained_on(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    records = {}
    for subject in ("02", "04"):
        job = write_job(scans[subject], model, tmp_path / "out")
        records[subject] = harmonization_record(job)
    assert records["02"]["Networks"] == ["fold-02.safetensors"]
    assert records["04"]["Networks"] == [f"fold-0{number}.safetensors" for number in (1, 2, 3)]
    assert records["02"]["SubjectInTraining"]
    assert not records["04"]["SubjectInTraining"]
    assert {record["ModelSHA256"] for record in records.values()} == {model.digest}


def test_the_sidecar_repeats_the_method_and_its_validation(
    scans: dict[str, Scan], tmp_path: Path
) -> None:
    answer = BaselineAnswer(answer="no", largest_p=0.5, smallest_possible_p=0.25)
    calibration = SpreadCalibration(0.5, (SpreadGroup(0.01, 0.02),))
    validation = Validation("shresnet", 3, {"no_harmonization": answer}, calibration)
    model = make_model(tmp_path / "model", scans["01"], validation=validation)
    record = harmonization_record(write_job(scans["04"], model, tmp_path / "out"))
    assert record["Method"] == "shresnet"
    assert record["MethodName"] == "SHResNet"
    assert record["Validation"] == to_json(replace(validation, uncertainty=None))


def test_the_sidecar_of_a_travelling_subject_has_its_held_out_errors(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    names = ("subject", "fold", "method", "tissue", "quantity", "nmse", "bias")
    rows = [
        dict(zip(names, ("01", 1, method, "WM", "FA", 0.5, 0.25), strict=True))
        for method in ("no_harmonization", "shresnet", "golkov")
    ]
    write_tsv(model.folder / "heldout.tsv", rows)
    travelling = harmonization_record(write_job(scans["01"], model, tmp_path / "out"))
    other = harmonization_record(write_job(scans["04"], model, tmp_path / "out"))
    errors = {"WM FA": {"NMSE": 0.5, "Bias": 0.25}}
    assert travelling["HeldOutErrors"] == {"no_harmonization": errors, "shresnet": errors}
    assert "HeldOutErrors" not in other


def test_the_uncertainty_is_the_standard_deviation_over_several_folds(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    job = write_job(scans["04"], model, tmp_path / "out")
    mask = read_image(job.outputs.mask) > 0
    uncertainty = read_image(job.outputs.uncertainty)
    np.testing.assert_allclose(uncertainty[mask], np.std([0.4, 0.5, 0.9], ddof=1), rtol=1e-3)
    np.testing.assert_array_equal(uncertainty[~mask], 0)
    single_fold = write_job(scans["01"], model, tmp_path / "single")
    assert not single_fold.outputs.uncertainty.exists()


def test_maps_of_several_targets_do_not_overwrite_each_other(
    scans: dict[str, Scan], tmp_path: Path
) -> None:
    models = [make_model(tmp_path / name, scans["01"], target=name) for name in ("Prisma", "Skyra")]
    jobs, _ = make_harmonize_jobs(
        [scans["04"]],
        models,
        options=HarmonizeOptions(),
        bids_dir=scans["04"].dataset,
        root=tmp_path / "out",
    )
    for job in jobs:
        write_harmonized_scan(job)
    names = {path.name.split("_desc-")[1] for path in tmp_path.glob("out/**/*_dwimap.nii.gz")}
    assert names == {
        "noveltyToPrisma_dwimap.nii.gz",
        "noveltyToSkyra_dwimap.nii.gz",
        "uncertaintyToPrisma_dwimap.nii.gz",
        "uncertaintyToSkyra_dwimap.nii.gz",
    }


@pytest.mark.parametrize("is_novel", [False, True])
@pytest.mark.parametrize("subject", ["01", "04"])
def test_novel_voxels_are_marked_and_stay_as_measured_when_abstaining(
    subject: str, is_novel: bool, scans: dict[str, Scan], tmp_path: Path
) -> None:
    """To one model no voxel is novel, to the other every voxel that it can judge."""
    model = make_model(tmp_path / "model", scans["01"], usual=0.01 if is_novel else 100.0)
    job = write_job(scans[subject], model, tmp_path / "out", should_abstain=True)
    novelty = read_image(job.outputs.novelty)
    judged = novelty > 0
    difference = read_image(job.outputs.dwi()) - read_image(job.scan.image)
    is_changed = (difference[..., ~is_b0(job.scan)] != 0).any(axis=3)
    assert judged.sum() > 100
    np.testing.assert_array_equal(novelty[judged] > 1, is_novel)
    np.testing.assert_array_equal(is_changed[judged], not is_novel)
    record = harmonization_record(job)["Novelty"]
    assert record == {"MarkedFraction": float(is_novel), "LeftAsMeasured": True}


def test_a_novel_scan_is_warned_about_and_harmonized(
    scans: dict[str, Scan], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_model(tmp_path / "model", scans["01"], usual=0.01)
    job = write_job(scans["04"], model, tmp_path / "out")
    assert "unlike the training data" in caplog.text
    np.testing.assert_allclose(harmonized_attenuation(job), 0.6, rtol=2e-3)


def test_the_b_value_becomes_the_targets_and_the_rest_of_the_table_stays(
    scans: dict[str, Scan], tmp_path: Path
) -> None:
    model = make_model(tmp_path / "m", scans["01"], target_bvalue=1200.0)
    outputs = write_job(scans["01"], model, tmp_path / "out").outputs
    measured_bvals = np.loadtxt(outputs.scan.bval)
    expected = np.where(measured_bvals < 50, measured_bvals, 1200)
    np.testing.assert_allclose(np.loadtxt(outputs.dwi(".bval")), expected)
    measured_bvecs = np.loadtxt(outputs.scan.bvec)
    np.testing.assert_allclose(np.loadtxt(outputs.dwi(".bvec")), measured_bvecs, atol=1e-6)


def test_the_targets_directions_replace_the_scans_when_asked_for(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    outputs = write_job(scans["04"], model, tmp_path / "out", output_directions="target").outputs
    image = nib.load(outputs.dwi())
    b0s = is_b0(outputs.scan)
    expected_bvals = [*np.loadtxt(outputs.scan.bval)[b0s], *[1000.0] * 8]
    assert np.loadtxt(outputs.dwi(".bval")).tolist() == expected_bvals
    assert image.shape[3] == b0s.sum() + 8
    axes = image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0)
    fsl_bvecs = np.loadtxt(outputs.dwi(".bvec"))[:, b0s.sum() :]
    if np.linalg.det(axes) > 0:  # FSL flips x then
        fsl_bvecs[0] *= -1
    np.testing.assert_allclose((axes @ fsl_bvecs).T, spiral(8), atol=1e-4)


def test_a_scan_is_written_again_only_if_something_it_depends_on_changes(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    job = write_job(scans["04"], model, tmp_path / "out")
    assert not write_harmonized_scan(job)
    job.outputs.dwi(".json").unlink()
    assert write_harmonized_scan(job)
    projected = replace(job.options, method="shresnet_projected")
    assert write_harmonized_scan(replace(job, options=projected))
    assert write_harmonized_scan(replace(job, options=replace(job.options, should_abstain=True)))
    assert write_harmonized_scan(replace(job, is_travelling=True))
    other_model = make_model(job.model_folder, scans["04"], seed=2)
    assert write_harmonized_scan(make_job(scans["04"], other_model, job.outputs.root))


def test_a_scan_is_written_again_if_its_image_changes(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    scan = scans["04"]
    write_job(scan, model, tmp_path / "out")
    image = nib.load(scan.image)
    changed_data = np.asarray(image.dataobj) + 1
    changed_image = nib.Nifti1Image(changed_data, image.affine, image.header)
    nib.save(changed_image, tmp_path / scan.image.name)
    changed_scan = replace(scan, image=tmp_path / scan.image.name, dataset=tmp_path)
    job = make_job(changed_scan, model, tmp_path / "out")
    assert write_harmonized_scan(job)
    assert not write_harmonized_scan(job)


@pytest.mark.parametrize("output_directions", ["source", "target"])
@pytest.mark.parametrize("subject", ["01", "04"])
def test_missing_shells_come_last_and_change_no_other_volume(
    subject: str, output_directions: str, scans: dict[str, Scan], tmp_path: Path
) -> None:
    model = make_model(tmp_path / "model", scans["01"], missing=0.25)
    scan = scans[subject]
    directions = {"output_directions": output_directions}
    plain = write_job(scan, model, tmp_path / "plain", **directions)
    job = write_job(scan, model, tmp_path / "missing", should_predict_missing=True, **directions)
    plain_dwi = read_image(plain.outputs.dwi())
    dwi = read_image(job.outputs.dwi())
    bvals = np.loadtxt(job.outputs.dwi(".bval"))
    volume_count = plain_dwi.shape[3]
    np.testing.assert_array_equal(dwi[..., :volume_count], plain_dwi)
    np.testing.assert_allclose(bvals[volume_count:], np.full(7, 2500.0))

    mask = read_image(job.outputs.mask) > 0
    s0 = dwi[..., bvals < 50].mean(-1)
    measured = mask & (s0 > 0)
    attenuation = dwi[measured][:, volume_count:] / s0[measured][:, None]
    np.testing.assert_allclose(attenuation, 0.25, rtol=2e-3)
    np.testing.assert_array_equal(dwi[~mask][:, volume_count:], 0)

    volumes = list(range(volume_count, volume_count + 7))
    shell = {"BValue": 2500.0, "SHOrder": 2, "Volumes": volumes}
    assert harmonization_record(job)["PredictedShells"] == [shell]
    assert "PredictedShells" not in harmonization_record(plain)
    assert "not measured" in read_json(job.outputs.dwi(".json"))["Description"]


def test_a_scan_of_qsiprep_gives_the_same_signal_in_qsipreps_own_convention(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    raw_job = write_job(scans["04"], model, tmp_path / "raw")
    world_bvecs = load_scan(raw_job.scan).dwi.bvecs
    expected = nib.as_closest_canonical(nib.load(raw_job.outputs.dwi())).get_fdata()
    scan = store_like_qsiprep(scans["04"], tmp_path / "qsiprep")
    for has_b_table in (False, True):
        b_table = scan.image.with_name("dwi.b") if has_b_table else None
        outputs = replace(
            raw_job.outputs, scan=replace(scan, b_table=b_table), root=tmp_path / f"{has_b_table}"
        )
        job = replace(raw_job, outputs=outputs)
        assert write_harmonized_scan(job)
        assert not write_harmonized_scan(job)
        image = nib.load(outputs.dwi())
        assert nib.aff2axcodes(image.affine) == ("L", "P", "S")
        dwi = nib.as_closest_canonical(image).get_fdata()
        np.testing.assert_allclose(dwi, expected, rtol=1e-4, atol=1e-3)
        bvecs = np.loadtxt(outputs.dwi(".bvec"))
        np.testing.assert_allclose(bvecs, np.loadtxt(scan.bvec), atol=1e-5)
        convention = read_json(outputs.dwi(".json"))["GradientConvention"]
        assert convention.startswith("QSIPrep")
        assert outputs.dwi(".b").exists() == has_b_table
    np.testing.assert_allclose(np.loadtxt(outputs.dwi(".b"))[:, :3], world_bvecs, atol=1e-5)
    assert read_json(raw_job.outputs.dwi(".json"))["GradientConvention"].startswith("FSL")


def store_like_qsiprep(scan: Scan, folder: Path) -> Scan:
    """Store a scan in LPS order, with b-vectors along the image's axes, and directions in a .b."""
    folder.mkdir()
    image = nib.load(scan.image)
    to_lps = np.array([[0, -1], [1, -1], [2, 1]])
    orientation = nib.orientations.io_orientation(image.affine)
    stored = image.as_reoriented(nib.orientations.ornt_transform(orientation, to_lps))
    axes = stored.affine[:3, :3] / nib.affines.voxel_sizes(stored.affine)
    world_bvecs = load_scan(scan).dwi.bvecs
    nib.save(stored, folder / "dwi.nii.gz")
    shutil.copy(scan.bval, folder / "dwi.bval")
    np.savetxt(folder / "dwi.bvec", (world_bvecs @ axes).T)
    np.savetxt(folder / "dwi.b", np.column_stack([world_bvecs, scan.bvals]))
    return replace(
        scan,
        image=folder / "dwi.nii.gz",
        bvec=folder / "dwi.bvec",
        entities={**scan.entities, "space": "ACPC"},
        dataset=folder,
        bvec_axes="image",
    )
