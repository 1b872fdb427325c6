from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_shresnet.config import Config
from bids_shresnet.harmonization.harmonize import (
    HarmonizeJob,
    make_harmonize_jobs,
    write_harmonized_dwi,
)
from bids_shresnet.harmonization.predict import applicable_method
from bids_shresnet.inputs.load_scan import load_scan
from bids_shresnet.io.storage import read_json, write_tsv
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.planning.discover import find_scans
from bids_shresnet.scans import Scan
from tests.datasets import spiral
from tests.models import constant_model

Jobs = Callable[..., tuple[HarmonizeJob, ...]]


@pytest.fixture(scope="module")
def scans(phantom: Path) -> dict[str, Scan]:
    """Source scans by subject."""
    found = find_scans(
        Config(phantom / "bids", Path("out"), "participant"), is_identity_required=True
    ).scans
    return {scan.subject: scan for scan in found if scan.entities["session"] == "ge"}


@pytest.fixture
def model(scans: dict[str, Scan], tmp_path: Path) -> Model:
    """Folds 1, 2, 3 hold out 01, 02, 03 and predict 0.4, 0.5, 0.9 everywhere."""
    return make_model(tmp_path / "model", scans["01"])


def make_model(folder: Path, scan: Scan, **changes: object) -> Model:
    assert scan.scanner is not None
    return constant_model(folder, scan.dataset, source=scan.scanner.label, **changes)


def job_for(scan: Scan, model: Model, root: Path, **settings: object) -> HarmonizeJob:
    config = Config(scan.dataset, root, "participant")
    (job,), _ = make_harmonize_jobs([scan], [model], config, root)
    return replace(job, **settings)


def map_of(job: HarmonizeJob, name: str) -> Path:
    return next(iter(job.root.rglob(f"*_desc-{name}_dwimap.nii.gz")), Path("none"))


def signals(job: HarmonizeJob) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Relative signal of the weighted volumes inside the mask; weighted volumes outside of output and input."""
    before, after = (nib.load(path).get_fdata() for path in (job.scan.image, job.output(".nii.gz")))
    mask = nib.load(next(job.root.rglob("*_mask.nii.gz"))).get_fdata() > 0
    b0s = np.loadtxt(job.scan.bval) < 50
    s0 = before[..., b0s].mean(-1)
    measured = mask & (s0 > 0)
    return after[measured][:, ~b0s] / s0[measured][:, None], after[~mask], before[~mask]


@pytest.mark.parametrize(
    ("subject", "expected"), [("01", 0.4), ("02", 0.5), ("03", 0.9), ("04", 0.6)]
)
def test_signal_is_what_the_unseeing_fold_or_the_mean_of_all_predicts_times_s0(
    subject: str, expected: float, scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    job = job_for(scans[subject], model, tmp_path / "out")
    write_harmonized_dwi(job)
    inside, outside, as_measured = signals(job)
    np.testing.assert_allclose(inside, expected, rtol=2e-3)
    np.testing.assert_array_equal(outside, as_measured)


def test_the_sidecar_says_which_networks_and_whether_the_subject_was_trained_with(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    records = {}
    for subject in ("02", "04"):
        job = job_for(scans[subject], model, tmp_path / "out")
        write_harmonized_dwi(job)
        records[subject] = read_json(job.output(".json"))["Harmonization"]
    assert records["02"]["Networks"] == ["fold-02.safetensors"]
    assert records["04"]["Networks"] == [f"fold-0{number}.safetensors" for number in (1, 2, 3)]
    assert [records[subject]["SubjectInTraining"] for subject in ("02", "04")] == [True, False]
    assert {record["ModelSHA256"] for record in records.values()} == {model.digest}


def test_the_sidecar_repeats_method_validation_and_what_was_found_on_the_held_out_subject(
    scans: dict[str, Scan], tmp_path: Path
) -> None:
    validation = {
        "Method": "shresnet",
        "Subjects": 3,
        "BetterThan": {"no_harmonization": {"Answer": "no"}},
    }
    model = make_model(
        tmp_path / "model", scans["01"], Validation=validation | {"Uncertainty": {"Groups": []}}
    )
    names = ("subject", "fold", "method", "tissue", "quantity", "nmse", "bias")
    rows = [
        ("01", 1, method, "WM", "FA", 0.5, 0.25)
        for method in ("no_harmonization", "shresnet", "golkov")
    ]
    write_tsv(model.folder / "heldout.tsv", [dict(zip(names, row, strict=True)) for row in rows])
    records = {}
    for subject in ("01", "04"):
        job = job_for(scans[subject], model, tmp_path / "out")
        write_harmonized_dwi(job)
        records[subject] = read_json(job.output(".json"))["Harmonization"]
        assert (records[subject]["Method"], records[subject]["MethodName"]) == (
            "shresnet",
            "SHResNet",
        )
        assert records[subject]["Validation"] == validation
    found = {"WM FA": {"NMSE": 0.5, "Bias": 0.25}}
    assert records["01"]["HeldOutErrors"] == {"no_harmonization": found, "shresnet": found}
    assert "HeldOutErrors" not in records["04"]


def test_the_uncertainty_is_the_standard_deviation_of_the_folds_where_several_are_asked(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    job = job_for(scans["04"], model, tmp_path / "out")
    write_harmonized_dwi(job)
    mask = nib.load(next(job.root.rglob("*_mask.nii.gz"))).get_fdata() > 0
    apart = nib.load(map_of(job, "uncertainty")).get_fdata()
    np.testing.assert_allclose(apart[mask], np.std([0.4, 0.5, 0.9], ddof=1), rtol=1e-3)
    np.testing.assert_array_equal(apart[~mask], 0)
    alone = job_for(scans["01"], model, tmp_path / "alone")
    write_harmonized_dwi(alone)
    assert not map_of(alone, "uncertainty").exists()


def test_maps_of_several_targets_do_not_overwrite_each_other(
    scans: dict[str, Scan], tmp_path: Path
) -> None:
    models = [make_model(tmp_path / name, scans["01"], target=name) for name in ("Prisma", "Skyra")]
    jobs, _ = make_harmonize_jobs(
        [scans["04"]],
        models,
        Config(scans["04"].dataset, tmp_path, "participant"),
        tmp_path / "out",
    )
    for job in jobs:
        write_harmonized_dwi(job)
    found = sorted(
        path.name.split("_desc-")[1] for path in (tmp_path / "out").rglob("*_dwimap.nii.gz")
    )
    assert found == [
        f"{name}To{target}_dwimap.nii.gz"
        for name in ("novelty", "uncertainty")
        for target in ("Prisma", "Skyra")
    ]


@pytest.mark.parametrize("subject", ["01", "04"])
def test_voxels_unlike_the_training_data_are_marked_and_left_as_measured_if_asked_for(
    subject: str, scans: dict[str, Scan], tmp_path: Path
) -> None:
    """To one model nothing is unusual, to the other everything that it can judge."""
    for name, usual in (("known", 100.0), ("unknown", 0.01)):
        model = make_model(tmp_path / name, scans["01"], usual=usual)
        job = job_for(scans[subject], model, tmp_path / f"out-{name}", should_abstain=True)
        write_harmonized_dwi(job)
        novelty = nib.load(map_of(job, "novelty")).get_fdata()
        before, after = (
            nib.load(path).get_fdata() for path in (job.scan.image, job.output(".nii.gz"))
        )
        record = read_json(job.output(".json"))["Harmonization"]["Novelty"]
        judged, b0s = novelty > 0, np.loadtxt(job.scan.bval) < 50
        assert judged.sum() > 100
        changed = (after != before)[..., ~b0s].any(axis=3)
        if name == "known":
            assert novelty.max() < 1
            assert changed[judged].all()
        else:
            assert novelty[judged].min() > 1
            assert not changed[judged].any()
        assert record == {"MarkedFraction": float(name == "unknown"), "LeftAsMeasured": True}


def test_a_scan_full_of_the_unknown_is_warned_of_and_harmonized_all_the_same(
    scans: dict[str, Scan], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = job_for(
        scans["04"], make_model(tmp_path / "model", scans["01"], usual=0.01), tmp_path / "out"
    )
    write_harmonized_dwi(job)
    assert "unlike anything the model was trained on" in caplog.text
    inside, _, _ = signals(job)
    np.testing.assert_allclose(inside, 0.6, rtol=2e-3)


@pytest.mark.parametrize(
    ("fitted", "own", "asked", "used"),
    [
        ("shresnet", "shresnet", "shresnet_projected", "shresnet_projected"),
        ("shresnet", "shresnet_projected", "shresnet", "shresnet"),
        ("shresnet", "shresnet_projected", "golkov", "shresnet_projected"),
        ("order_gain", "order_gain", "shresnet", "order_gain"),
    ],
)
def test_what_a_model_has_learned_is_applied_as_asked_or_else_in_its_own_way(
    fitted: str, own: str, asked: str, used: str
) -> None:
    card = {"FittedAs": fitted, "Method": own}
    assert applicable_method(Model(Path("model"), card, ""), asked) == used


def test_the_b_value_becomes_the_targets_and_nothing_else_of_the_table_changes(
    scans: dict[str, Scan], tmp_path: Path
) -> None:
    job = job_for(
        scans["01"], make_model(tmp_path / "m", scans["01"], target_bvalue=1200.0), tmp_path / "out"
    )
    write_harmonized_dwi(job)
    before, after = (np.loadtxt(path) for path in (job.scan.bval, job.output(".bval")))
    np.testing.assert_allclose(after, np.where(before < 50, before, 1200))
    np.testing.assert_allclose(
        np.loadtxt(job.output(".bvec")), np.loadtxt(job.scan.bvec), atol=1e-6
    )


def test_the_targets_own_directions_replace_the_scans_when_asked_for(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    job = job_for(scans["04"], model, tmp_path / "out", output_directions="target")
    write_harmonized_dwi(job)
    image, bvals = nib.load(job.output(".nii.gz")), np.loadtxt(job.output(".bval"))
    b0s = np.loadtxt(job.scan.bval) < 50
    assert bvals.tolist() == [*np.loadtxt(job.scan.bval)[b0s], *[1000.0] * 8]
    assert image.shape[3] == b0s.sum() + 8
    unit = image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0)
    fsl = np.loadtxt(job.output(".bvec"))[:, b0s.sum() :]
    if np.linalg.det(unit) > 0:  # FSL counts x from the right where the voxels do not
        fsl[0] *= -1
    np.testing.assert_allclose((unit @ fsl).T, spiral(8), atol=1e-4)


def test_a_scan_is_written_once_and_again_only_if_something_it_depends_on_changes(
    scans: dict[str, Scan], model: Model, phantom: Path, tmp_path: Path
) -> None:
    job = job_for(scans["04"], model, tmp_path / "out")
    assert write_harmonized_dwi(job)
    assert not write_harmonized_dwi(job)
    job.output(".json").unlink()
    assert write_harmonized_dwi(job)
    assert write_harmonized_dwi(replace(job, method="shresnet_projected"))
    assert write_harmonized_dwi(replace(job, should_abstain=True))
    assert write_harmonized_dwi(replace(job, is_travelling=True))
    job = job_for(scans["04"], make_model(job.model_folder, scans["04"], Seed=2), job.root)
    assert write_harmonized_dwi(job)
    image = shutil.copy(job.scan.image, tmp_path / job.scan.image.name)
    data = nib.load(image)
    nib.save(nib.Nifti1Image(np.asarray(data.dataobj) + 1, data.affine, data.header), image)
    moved = replace(job.scan, image=Path(image), dataset=tmp_path)
    assert write_harmonized_dwi(replace(job, scan=moved))
    assert not write_harmonized_dwi(replace(job, scan=moved))


def test_where_several_targets_are_known_each_has_its_name(
    scans: dict[str, Scan], tmp_path: Path
) -> None:
    models = [make_model(tmp_path / name, scans["01"], target=name) for name in ("Prisma", "Skyra")]
    config = Config(scans["01"].dataset, tmp_path, "participant")
    one, _ = make_harmonize_jobs([scans["01"]], models[:1], config, tmp_path)
    two, _ = make_harmonize_jobs([scans["01"]], models, config, tmp_path)
    assert [job.desc for job in one] == ["harmonized"]
    assert [job.desc for job in two] == ["harmonizedToPrisma", "harmonizedToSkyra"]
    back = make_model(tmp_path / "back", scans["01"], target="Other")
    to_each_other, _ = make_harmonize_jobs(
        [scans["01"]],
        [models[0], replace(back, card=back.card | {"SourceScanner": {"Label": "X"}})],
        config,
        tmp_path,
    )
    assert [job.desc for job in to_each_other] == ["harmonizedToPrisma"]


def test_a_scan_whose_shells_the_model_does_not_know_is_left_out_with_both_b_values(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    odd = replace(scans["04"], bvals=tuple(2000.0 if b > 50 else b for b in scans["04"].bvals))
    config = Config(odd.dataset, tmp_path, "participant")
    jobs, left_out = make_harmonize_jobs([scans["01"], odd], [model], config, tmp_path)
    assert [job.scan for job in jobs] == [scans["01"]]
    assert [item.file for item in left_out] == [odd.image]
    assert "1000" in left_out[0].reason
    assert "2000" in left_out[0].reason


def test_a_scan_of_a_scanner_without_a_model_gets_no_job(
    scans: dict[str, Scan], tmp_path: Path
) -> None:
    other = constant_model(tmp_path / "m", scans["01"].dataset, source="Achieva")
    assert make_harmonize_jobs(
        [scans["01"]], [other], Config(scans["01"].dataset, tmp_path, "group"), tmp_path
    ) == ((), ())


@pytest.mark.parametrize("output_directions", ["source", "target"])
@pytest.mark.parametrize("subject", ["01", "04"])
def test_missing_shells_come_last_with_the_predicted_signal_and_change_nothing_else(
    subject: str, output_directions: str, scans: dict[str, Scan], tmp_path: Path
) -> None:
    model = make_model(tmp_path / "model", scans["01"], missing=0.25)
    jobs = [
        job_for(
            scans[subject],
            model,
            tmp_path / f"out-{added}",
            should_predict_missing=added,
            output_directions=output_directions,
        )
        for added in (False, True)
    ]
    for job in jobs:
        write_harmonized_dwi(job)
    without, added = (nib.load(job.output(".nii.gz")).get_fdata() for job in jobs)
    volumes = without.shape[3]
    np.testing.assert_array_equal(added[..., :volumes], without)
    mask = nib.load(next(jobs[1].root.rglob("*_mask.nii.gz"))).get_fdata() > 0
    s0 = added[..., np.loadtxt(jobs[1].output(".bval")) < 50].mean(-1)
    measured = mask & (s0 > 0)
    np.testing.assert_allclose(
        added[measured][:, volumes:] / s0[measured][:, None], 0.25, rtol=2e-3
    )
    np.testing.assert_array_equal(added[~mask][:, volumes:], 0)
    np.testing.assert_allclose(np.loadtxt(jobs[1].output(".bval"))[volumes:], np.full(7, 2500.0))
    records = [read_json(job.output(".json")) for job in jobs]
    assert "PredictedShells" not in records[0]["Harmonization"]
    expected = {"BValue": 2500.0, "SHOrder": 2, "Volumes": list(range(volumes, volumes + 7))}
    assert records[1]["Harmonization"]["PredictedShells"] == [expected]
    assert "not measured" in records[1]["Description"]


def test_missing_shells_are_predicted_where_that_is_asked_for_and_the_model_can(
    scans: dict[str, Scan], tmp_path: Path
) -> None:
    for name, missing, asked in (("can", 0.25, True), ("can", 0.25, False), ("cannot", None, True)):
        model = make_model(tmp_path / name, scans["01"], missing=missing)
        config = Config(scans["01"].dataset, tmp_path, "participant", predict_missing_shells=asked)
        (job,), _ = make_harmonize_jobs([scans["04"]], [model], config, tmp_path / "out")
        assert job.should_predict_missing == (asked and name == "can")


def test_a_scan_of_qsiprep_gives_the_same_signal_in_qsipreps_own_convention(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    """The same scan as QSIPrep stores it: the other voxel order, b-vectors along its axes, and directions in a .b."""
    raw = scans["04"]
    image = nib.load(raw.image)
    order = np.array([[0, -1], [1, -1], [2, 1]])  # to LPS
    now = nib.orientations.io_orientation(image.affine)
    stored = image.as_reoriented(nib.orientations.ornt_transform(now, order))
    world = load_scan(raw).dwi.bvecs
    name = "sub-04_ses-ge_space-ACPC_desc-preproc_dwi"
    nib.save(stored, tmp_path / f"{name}.nii.gz")
    shutil.copy(raw.bval, tmp_path / f"{name}.bval")
    edges = stored.affine[:3, :3] / nib.affines.voxel_sizes(stored.affine)
    np.savetxt(tmp_path / f"{name}.bvec", (world @ edges).T)
    np.savetxt(tmp_path / f"{name}.b", np.column_stack([world, raw.bvals]))
    scan = replace(
        raw,
        image=tmp_path / f"{name}.nii.gz",
        bvec=tmp_path / f"{name}.bvec",
        entities=raw.entities | {"space": "ACPC"},
        dataset=tmp_path,
        bvec_axes="image",
    )
    plain = job_for(raw, model, tmp_path / "raw")
    write_harmonized_dwi(plain)
    expected = nib.as_closest_canonical(nib.load(plain.output(".nii.gz"))).get_fdata()
    for one in (scan, replace(scan, b_table=tmp_path / f"{name}.b")):
        job = replace(plain, scan=one, root=tmp_path / f"out{bool(one.b_table)}")
        assert write_harmonized_dwi(job)
        assert not write_harmonized_dwi(job)
        found = nib.load(job.output(".nii.gz"))
        assert nib.aff2axcodes(found.affine) == ("L", "P", "S")
        np.testing.assert_allclose(
            nib.as_closest_canonical(found).get_fdata(), expected, rtol=1e-4, atol=1e-3
        )
        np.testing.assert_allclose(
            np.loadtxt(job.output(".bvec")), np.loadtxt(scan.bvec), atol=1e-5
        )
        assert read_json(job.output(".json"))["GradientConvention"].startswith("QSIPrep")
        assert job.output(".b").exists() == bool(one.b_table)
    np.testing.assert_allclose(np.loadtxt(job.output(".b"))[:, :3], world, atol=1e-5)
    assert read_json(plain.output(".json"))["GradientConvention"].startswith("FSL")
