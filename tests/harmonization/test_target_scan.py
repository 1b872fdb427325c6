from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bids_shresnet.config import InputSettings, ScannerSettings
from bids_shresnet.diffusion.tensors import fit_tensor_maps
from bids_shresnet.harmonization.target_scan import (
    TargetJob,
    denoise_target_scan,
    make_target_jobs,
    write_target_scan,
)
from bids_shresnet.inputs.load_scan import load_scan
from bids_shresnet.io.images.nifti import read_volume
from bids_shresnet.io.storage import read_json, read_tsv
from bids_shresnet.methods.networks.denoiser import Denoiser
from bids_shresnet.methods.networks.shresnet import ShresnetHarmonizer
from bids_shresnet.outputs.layout import TENSOR_PARAMETERS
from bids_shresnet.outputs.model.card import DenoiserRecord, ShellRecord
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.planning.discover import find_scans
from bids_shresnet.scans import Scan, Shell
from tests.harmonization.harmonizing import change_what_is_not_signal, read_image
from tests.models import (
    change_card,
    constant_model,
    constant_network,
    directions,
    write_harmonizer,
)

SIGNAL = 0.5  # S/S0 that the denoiser predicts everywhere
BVALUE = 1000.0  # of the phantom


@pytest.fixture(scope="module")
def scan(phantom: Path) -> Scan:
    """A scan of the phantom's target."""
    settings = (InputSettings(phantom / "bids"), ScannerSettings())
    scans = find_scans(*settings, is_identity_required=True).scans
    return next(item for item in scans if item.entities["session"] == "prisma")


def constant_denoiser() -> Denoiser:
    return Denoiser(ShresnetHarmonizer(constant_network(SIGNAL)), (Shell(BVALUE, 2),))


def make_model(folder: Path, scan: Scan, **changes: Any) -> Model:
    """A model to the scan's scanner, with a denoiser that predicts a constant."""
    settings: dict[str, Any] = {"target": scan.scanner_label, "target_bvalue": BVALUE, **changes}
    model = constant_model(folder, scan.dataset, **settings)
    weights = write_harmonizer(folder / "target_denoiser.safetensors", constant_denoiser())
    return change_card(model, target_denoiser=DenoiserRecord(weights, ("02",), ("01",), 0, 0.1))


def make_job(scan: Scan, model: Model, root: Path) -> TargetJob:
    (job,), excluded = make_target_jobs([scan], [model], root=root, device="cpu")
    assert excluded == ()
    return job


@pytest.fixture(scope="module")
def job(scan: Scan, tmp_path_factory: pytest.TempPathFactory) -> TargetJob:
    folder = tmp_path_factory.mktemp("target")
    target_job = make_job(scan, make_model(folder / "model", scan), folder)
    assert write_target_scan(target_job)
    return target_job


def test_maps_as_measured_are_the_tensor_of_the_scan(job: TargetJob) -> None:
    loaded = load_scan(job.scan)
    expected = fit_tensor_maps(loaded.dwi, loaded.mask)
    maps = [job.outputs.tensor_map(name, "input") for name in TENSOR_PARAMETERS]
    written = [read_volume(path)[0] for path in maps]
    np.testing.assert_allclose(written, [expected.fa, expected.md], rtol=1e-5, atol=1e-9)
    np.testing.assert_array_equal(read_volume(job.outputs.mask)[0] > 0, loaded.mask)
    assert not job.outputs.dwi().exists()


def test_maps_without_noise_are_those_of_the_denoised_signal(job: TargetJob) -> None:
    """Half of S0 in all directions means FA = 0 and MD = ln 2 / b."""
    mask = read_image(job.outputs.mask) > 0
    md = read_image(job.outputs.tensor_map("md", "harmonizedDenoised"))[mask]
    assert np.median(md) == pytest.approx(np.log(2) / BVALUE, rel=0.02)
    assert np.median(read_image(job.outputs.tensor_map("fa", "harmonizedDenoised"))[mask]) < 0.02


def test_the_table_has_both_pairs_and_its_description_the_role(job: TargetJob) -> None:
    rows = read_tsv(job.outputs.qc_table())
    assert [row["dwi"] for row in rows] == ["input", "harmonizedDenoised"]
    record = read_json(job.outputs.qc_table(".json"))["Scan"]
    assert (record["Role"], record["Scanner"]) == ("target", job.scan.scanner_label)


@pytest.mark.parametrize("desc", ["input", "harmonizedDenoised"])
def test_a_scan_is_written_again_only_if_something_is_missing_or_has_changed(
    desc: str, scan: Scan, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "model", scan)
    job = make_job(scan, model, tmp_path)
    assert write_target_scan(job)
    assert not write_target_scan(job)
    job.outputs.tensor_map("fa", desc).unlink()
    assert write_target_scan(job)
    change_card(model, description="another model")
    assert write_target_scan(job)
    assert not write_target_scan(job)


def test_maps_are_outdated_if_the_segmentation_or_the_metadata_change(
    job: TargetJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[str] = set()

    def find_up_to_date(_: object, digest: str) -> bool:
        asked.add(digest)
        return True

    module = "bids_shresnet.harmonization.target_scan"
    monkeypatch.setattr(f"{module}.is_target_up_to_date", find_up_to_date)
    write_target_scan(job)
    for changed in change_what_is_not_signal(job.scan, tmp_path / "dseg.nii.gz"):
        write_target_scan(replace(job, outputs=replace(job.outputs, scan=changed)))
    assert len(asked) == 5


def cut(path: Path) -> None:
    """Leave half of a file, as a full disk or a broken copy does."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_damaged_or_missing_maps_are_made_anew_with_the_same_bytes(
    damage: Callable[[Path], object], scan: Scan, tmp_path: Path
) -> None:
    job = make_job(scan, make_model(tmp_path / "model", scan), tmp_path / "out")
    assert write_target_scan(job)
    expected = {path: path.read_bytes() for path in job.outputs.mask.parent.iterdir()}
    maps = [path for path in expected if path.name.endswith("_dwimap.nii.gz")]
    assert len(maps) == 4
    for path in (*maps, maps[0].with_name(maps[0].name.replace(".nii.gz", ".json"))):
        damage(path)
        assert write_target_scan(job), path.name
    assert {path: path.read_bytes() for path in job.outputs.mask.parent.iterdir()} == expected
    assert not write_target_scan(job)


def test_the_stamp_is_removed_before_maps_of_another_model_are_written(
    scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(tmp_path / "model", scan)
    job = make_job(scan, model, tmp_path / "out")
    assert write_target_scan(job)
    change_card(model, description="another model")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("bids_shresnet.harmonization.target_scan.write_map_pair", stop)
        with pytest.raises(KeyboardInterrupt):
            write_target_scan(job)
    assert not job.outputs.qc_table(".json").exists()
    assert write_target_scan(job)


def test_a_model_without_denoiser_leaves_the_maps_as_measured(scan: Scan, tmp_path: Path) -> None:
    model = change_card(make_model(tmp_path / "model", scan), target_denoiser=None)
    job = make_job(scan, model, tmp_path)
    assert write_target_scan(job)
    assert [row["dwi"] for row in read_tsv(job.outputs.qc_table())] == ["input"]
    assert not write_target_scan(job)


def test_with_several_targets_the_maps_without_noise_name_theirs(
    scan: Scan, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "first", scan)
    second = make_model(tmp_path / "second", scan, source="Other")
    elsewhere = make_model(tmp_path / "third", scan, target="Elsewhere")
    (job,), _ = make_target_jobs([scan], [model, second], root=tmp_path, device="cpu")
    assert job.model_folder == model.folder
    assert job.outputs.denoised_desc == "harmonizedDenoised"
    (job,), _ = make_target_jobs([scan], [model, elsewhere], root=tmp_path, device="cpu")
    assert job.outputs.denoised_desc == f"harmonizedTo{scan.scanner_label}Denoised"


def test_a_scan_with_other_b_values_than_the_models_target_is_excluded(
    scan: Scan, tmp_path: Path
) -> None:
    shell = ShellRecord(3000.0, 3000.0, 2, 8, directions(8))
    model = make_model(tmp_path / "model", scan, shells=(shell,))
    jobs, (excluded,) = make_target_jobs([scan], [model], root=tmp_path, device="cpu")
    assert jobs == ()
    assert "b = 3000" in excluded.reason


def test_the_denoised_signal_has_the_scans_b_values_and_directions(
    scan: Scan, tmp_path: Path
) -> None:
    loaded = load_scan(scan)
    model = make_model(tmp_path / "model", scan)
    denoised = denoise_target_scan(loaded, model, constant_denoiser())
    np.testing.assert_allclose(denoised.signal.bvals[~denoised.signal.is_b0], BVALUE)
    np.testing.assert_allclose(denoised.signal.bvecs, loaded.dwi.bvecs, atol=1e-5)
