from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.diffusion.represent import represent_source
from bids_shresnet.harmonization.harmonize import write_harmonized_scan
from bids_shresnet.harmonization.jobs import make_harmonize_jobs
from bids_shresnet.harmonization.options import HarmonizeOptions
from bids_shresnet.inputs.load_scan import load_scan
from bids_shresnet.io.safetensors import serialize_arrays
from bids_shresnet.io.storage import hash_file, read_json, write_bytes
from bids_shresnet.outputs.layout import sidecar_path
from bids_shresnet.outputs.model.card import ModelFile
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.outputs.model.validation import Coverage, Uncertainty, Validation
from bids_shresnet.scans import Scan
from tests.harmonization.harmonizing import (
    find_supported,
    harmonization_record,
    harmonized_attenuation,
    is_b0,
    make_model,
    read_image,
    write_job,
)
from tests.images import load_image
from tests.models import change_card, constant_detector


@pytest.mark.parametrize(
    ("subject", "expected"), [("01", 0.4), ("02", 0.5), ("03", 0.9), ("04", 0.6)]
)
def test_signal_is_s0_times_the_prediction_of_the_held_out_fold_or_the_mean_of_all(
    subject: str, expected: float, scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    job = write_job(scans[subject], model, tmp_path / "out")
    np.testing.assert_allclose(harmonized_attenuation(job), expected, rtol=2e-3)


def make_validation(factor: float, *, coverage_factor_95: float = 1.96) -> Validation:
    """Validation that scales the uncertainty of the signal by a factor."""
    coverages = tuple(
        Coverage(
            tissue,
            "signal",
            subjects=3,
            factor=factor,
            coverage_factor_95=coverage_factor_95,
            within_68=0.7,
            within_95=0.95,
            rank_correlation=0.5,
        )
        for tissue in ("WM", "GM")
    )
    return Validation(
        method="shresnet", subjects=3, better_than={}, uncertainty=Uncertainty(coverages)
    )


def test_signal_outside_the_mask_is_as_measured(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    job = write_job(scans["04"], model, tmp_path / "out")
    outside = read_image(job.outputs.mask) == 0
    measured = read_image(job.scan.image)[outside]
    np.testing.assert_array_equal(read_image(job.outputs.dwi())[outside], measured)


def test_voxels_without_signal_around_them_stay_as_measured(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    job = write_job(scans["04"], model, tmp_path / "out")
    rim = (read_image(job.outputs.mask) > 0) & ~find_supported(job)
    assert rim.any()
    measured = read_image(job.scan.image)[rim]
    np.testing.assert_allclose(read_image(job.outputs.dwi())[rim], measured, rtol=1e-6)


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_the_uncertainty_is_the_learned_one_times_the_factor_of_the_validation(
    factor: float, scans: dict[str, Scan], tmp_path: Path
) -> None:
    validation = make_validation(factor)
    model = make_model(tmp_path / "model", scans["01"], error=0.02, validation=validation)
    job = write_job(scans["04"], model, tmp_path / "out")
    mask = find_supported(job)
    uncertainty = read_image(job.outputs.uncertainty)
    np.testing.assert_allclose(uncertainty[mask], 0.02 * factor, rtol=1e-3)
    np.testing.assert_array_equal(uncertainty[~mask], 0)
    for path in job.outputs.uncertainty_maps[1:]:
        assert (read_image(path)[mask] > 0).mean() > 0.99


def test_the_sidecars_of_the_uncertainty_give_its_95_interval(
    scans: dict[str, Scan], tmp_path: Path
) -> None:
    validation = make_validation(1.0, coverage_factor_95=2.5)
    model = make_model(tmp_path / "model", scans["01"], error=0.02, validation=validation)
    job = write_job(scans["04"], model, tmp_path / "out")
    for path in job.outputs.uncertainty_maps:
        record = read_json(sidecar_path(path))["Harmonization"]
        assert record["CoverageFactors95"] == {"signal": {"WM": 2.5, "GM": 2.5}}
    fa_record = read_json(sidecar_path(job.outputs.tensor_map("fa", job.outputs.desc)))
    assert "CoverageFactors95" not in fa_record["Harmonization"]


def test_a_model_that_does_not_know_its_error_has_no_uncertainty(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    job = write_job(scans["04"], model, tmp_path / "out")
    assert not any(path.exists() for path in job.outputs.uncertainty_maps)


def test_maps_of_several_targets_do_not_overwrite_each_other(
    scans: dict[str, Scan], tmp_path: Path
) -> None:
    models = [
        make_model(tmp_path / name, scans["01"], target=name, error=0.02)
        for name in ("Prisma", "Skyra")
    ]
    jobs, _ = make_harmonize_jobs(
        [scans["04"]],
        models,
        options=HarmonizeOptions(),
        bids_dir=scans["04"].dataset,
        root=tmp_path / "out",
    )
    for job in jobs:
        write_harmonized_scan(job)
    paths = tmp_path.glob("out/**/*_dwimap.nii.gz")
    names = {path.name.split("_desc-")[1] for path in paths if "_param-" not in path.name}
    assert names == {
        "noveltyToPrisma_dwimap.nii.gz",
        "noveltyToSkyra_dwimap.nii.gz",
        "uncertaintyToPrisma_dwimap.nii.gz",
        "uncertaintyToSkyra_dwimap.nii.gz",
    }


def test_integers_are_the_same_signal_but_for_rounding(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    exact = read_image(write_job(scans["04"], model, tmp_path / "a").outputs.dwi())
    job = write_job(scans["04"], model, tmp_path / "b", output_type="input")
    image = load_image(job.outputs.dwi())
    rounded = image.get_fdata()
    assert image.get_data_dtype() == np.int16
    np.testing.assert_array_equal(rounded[..., is_b0(job.scan)], exact[..., is_b0(job.scan)])
    assert 0 < np.abs(rounded - exact).max() <= 2.0**-15 * exact.max() * (1 + 1e-3)


@pytest.mark.parametrize("is_novel", [False, True])
@pytest.mark.parametrize("subject", ["01", "04"])
def test_novel_voxels_are_marked_and_stay_as_measured_when_abstaining(
    subject: str, is_novel: bool, scans: dict[str, Scan], tmp_path: Path
) -> None:
    """To one model no voxel is novel, to the other every voxel that it can judge."""
    model = make_model(tmp_path / "model", scans["01"], usual=0.01 if is_novel else 100.0)
    job = write_job(scans[subject], model, tmp_path / "out", should_abstain=True)
    novelty = read_image(job.outputs.novelty)
    judged = (novelty > 0) & find_supported(job)
    difference = read_image(job.outputs.dwi()) - read_image(job.scan.image)
    is_changed = (difference[..., ~is_b0(job.scan)] != 0).any(axis=3)
    assert judged.sum() > 100
    np.testing.assert_array_equal(novelty[judged] > 1, is_novel)
    np.testing.assert_array_equal(is_changed[judged], not is_novel)
    record = harmonization_record(job)["Novelty"]
    assert record == {"MarkedFraction": float(is_novel), "LeftUnharmonized": True}


@pytest.mark.parametrize("usual", [0.01, 0.5, 100.0], ids=["all novel", "some", "none"])
def test_the_uncertainty_is_0_where_the_brain_is_not_harmonized(
    usual: float, scans: dict[str, Scan], tmp_path: Path
) -> None:
    model = make_model(tmp_path / "model", scans["01"], usual=usual, error=0.02)
    job = write_job(scans["04"], model, tmp_path / "out", should_abstain=True)
    expected = find_supported(job) & (read_image(job.outputs.novelty) <= 1)
    brain = read_image(job.outputs.mask) > 0
    assert (brain & ~expected).any()
    np.testing.assert_array_equal(read_image(job.outputs.uncertainty) > 0, expected)


def test_voxels_that_are_not_harmonized_are_brought_to_the_b_value_of_the_target(
    scans: dict[str, Scan], tmp_path: Path
) -> None:
    model = make_model(tmp_path / "model", scans["01"], usual=0.01, target_bvalue=1200.0)
    job = write_job(scans["04"], model, tmp_path / "out", should_abstain=True)
    judged = read_image(job.outputs.novelty) > 0
    measured = read_image(job.scan.image)[judged]
    weighted = ~is_b0(job.scan)
    s0 = measured[:, ~weighted].mean(axis=1, keepdims=True)
    relative = np.clip(measured[:, weighted] / s0, 1e-3, 1)
    expected = measured[:, weighted] * relative**0.2
    harmonized = read_image(job.outputs.dwi())[judged][:, weighted]
    np.testing.assert_allclose(harmonized, expected, rtol=1e-4)


def test_a_novel_scan_is_warned_about_and_harmonized(
    scans: dict[str, Scan], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_model(tmp_path / "model", scans["01"], usual=0.01)
    job = write_job(scans["04"], model, tmp_path / "out")
    assert "unlike the training data" in caplog.text
    np.testing.assert_allclose(harmonized_attenuation(job), 0.6, rtol=2e-3)


@pytest.mark.parametrize(("ratio", "is_warned"), [(0.7, True), (1.0, False), (1.5, True)])
def test_a_scan_with_another_roughness_than_the_training_is_warned_about(
    ratio: float,
    is_warned: bool,
    scans: dict[str, Scan],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = make_model(tmp_path / "model", scans["01"])
    scan = load_scan(scans["04"])
    image = represent_source(scan.dwi, scan.mask, model.source_shells).image
    own = constant_detector(usual=1.0, roughness=[1.0]).compare_roughness(image)
    file = model.folder / "novelty-all.safetensors"
    detector = constant_detector(usual=100.0, roughness=[own / ratio])
    write_bytes(file, serialize_arrays(detector.arrays(), {"inputs": ""}))
    record = ModelFile(file.name, hash_file(file))
    model = change_card(model, all_subjects=replace(model.card.all_subjects, novelty=record))
    job = write_job(scans["04"], model, tmp_path / "out")
    differences = harmonization_record(job)["ProtocolDifferences"]
    said = [
        text for text in differences if f"noise between neighbouring voxels ({ratio:.2f}" in text
    ]
    assert bool(said) == is_warned
    assert all(text in caplog.text for text in said)
    assert ("neighbouring voxels" in caplog.text) == is_warned


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
    measured = find_supported(job)
    attenuation = dwi[measured][:, volume_count:] / s0[measured][:, None]
    np.testing.assert_allclose(attenuation, 0.25, rtol=2e-3)
    np.testing.assert_array_equal(dwi[~mask][:, volume_count:], 0)

    volumes = list(range(volume_count, volume_count + 7))
    shell = {"BValue": 2500.0, "SHOrder": 2, "Volumes": volumes}
    assert harmonization_record(job)["PredictedShells"] == [shell]
    assert "PredictedShells" not in harmonization_record(plain)
    assert "not measured" in read_json(job.outputs.dwi(".json"))["Description"]
