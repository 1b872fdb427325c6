from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from bids_shresnet import (
    HarmonizedImage,
    HarmonizeOptions,
    Model,
    harmonize,
    harmonize_arrays,
    harmonize_files,
    load_model,
)
from bids_shresnet.config import InputSettings, ScannerSettings
from bids_shresnet.errors import BadInput, InputMissing, UsageError
from bids_shresnet.harmonization.harmonize import write_harmonized_scan
from bids_shresnet.harmonization.jobs import make_harmonize_jobs
from bids_shresnet.io.images.nifti_writing import make_image_like
from bids_shresnet.io.storage import hash_file, read_json, write_json, write_tsv
from bids_shresnet.outputs.layout import ScanOutputs
from bids_shresnet.planning.discover import find_scans
from bids_shresnet.scans import Scan
from tests.images import load_image
from tests.models import NOISE, constant_model

# Inside the app all arrays are in RAS order; here every axis is another one and reversed.
PIL_ORIENTATION = nib.orientations.axcodes2ornt("PIL")


@dataclass(frozen=True)
class Arrays:
    """A scan as nibabel and numpy read it."""

    data: np.ndarray
    affine: np.ndarray
    bvals: np.ndarray
    bvecs: np.ndarray


@pytest.fixture(scope="module")
def dataset(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom with its source images stored in another voxel order."""
    root = shutil.copytree(phantom / "bids", tmp_path_factory.mktemp("reoriented") / "bids")
    for path in root.rglob("*ses-ge_dwi.nii.gz"):
        image = load_image(path)
        orientation = nib.orientations.io_orientation(image.affine)
        transform = nib.orientations.ornt_transform(orientation, PIL_ORIENTATION)
        reoriented = image.as_reoriented(transform)
        assert nib.aff2axcodes(reoriented.affine) == ("P", "I", "L")
        nib.save(reoriented, path)
    return root


@pytest.fixture(scope="module")
def scans(dataset: Path) -> dict[str, Scan]:
    """Source scans by subject."""
    inventory = find_scans(InputSettings(dataset), ScannerSettings(), is_identity_required=True)
    return {scan.subject: scan for scan in inventory.scans if scan.entities["session"] == "ge"}


@pytest.fixture(scope="module")
def model(scans: dict[str, Scan], tmp_path_factory: pytest.TempPathFactory) -> Model:
    return constant_model(
        tmp_path_factory.mktemp("model") / "from-a_to-b",
        scans["01"].dataset,
        source=scans["01"].scanner_label,
        target_bvalue=1100.0,
        missing=0.2,
        usual=0.01,
        noise=NOISE,
        error=0.02,
    )


def run_app(scan: Scan, model: Model, root: Path, options: HarmonizeOptions) -> ScanOutputs:
    (job,), _ = make_harmonize_jobs(
        [scan], [model], options=options, bids_dir=scan.dataset, root=root
    )
    write_harmonized_scan(job)
    return job.outputs


def read_arrays(scan: Scan) -> Arrays:
    image = load_image(scan.image)
    return Arrays(
        data=image.get_fdata(dtype=np.float32),
        affine=image.affine,
        bvals=np.loadtxt(scan.bval),
        bvecs=np.loadtxt(scan.bvec).T,
    )


def harmonize_scan_arrays(model: Model, scan: Scan, **keywords: Any) -> HarmonizedImage:
    arrays = read_arrays(scan)
    return harmonize_arrays(
        model, arrays.data, arrays.affine, arrays.bvals, arrays.bvecs, **keywords
    )


def read_written(image: Any) -> np.ndarray:
    """Values of an image as a file would have them."""
    written: Any = nib.Nifti1Image.from_bytes(image.to_bytes())
    return np.asarray(written.get_fdata())


def check_equal(harmonized: HarmonizedImage, outputs: ScanOutputs) -> None:
    """Check that all arrays are bit for bit those of the app's files."""
    image = load_image(outputs.scan.image)  # arrays that are given do not have its integers
    paths = {
        outputs.dwi(): read_written(make_image_like(image, harmonized.dwi, "input")),
        outputs.mask: harmonized.mask,
        outputs.novelty: harmonized.novelty,
        outputs.tensor_map("fa", "harmonized"): harmonized.fa,
        outputs.tensor_map("md", "harmonized"): harmonized.md,
        outputs.tensor_map("fa", "harmonizedDenoised"): harmonized.fa_denoised,
        outputs.tensor_map("md", "harmonizedDenoised"): harmonized.md_denoised,
    }
    assert (harmonized.uncertainty is not None) == outputs.uncertainty.exists()
    if harmonized.uncertainty is not None:
        paths[outputs.uncertainty] = harmonized.uncertainty
    for path, values in paths.items():
        np.testing.assert_array_equal(values, np.asarray(load_image(path).dataobj), path.name)
    np.testing.assert_array_equal(harmonized.bvals, np.loadtxt(outputs.dwi(".bval")))
    np.testing.assert_array_equal(harmonized.bvecs, np.loadtxt(outputs.dwi(".bvec")).T)


@pytest.mark.parametrize(
    ("subject", "options"),
    [
        pytest.param("02", HarmonizeOptions(), id="held out"),
        pytest.param("04", HarmonizeOptions(), id="not in training"),
        pytest.param("04", HarmonizeOptions(output_directions="target"), id="target directions"),
        pytest.param("04", HarmonizeOptions(should_abstain=True), id="abstaining"),
        pytest.param("04", HarmonizeOptions(noise="target"), id="noise of the target"),
        pytest.param("04", HarmonizeOptions(should_predict_missing=True), id="missing shells"),
    ],
)
def test_every_voxel_is_bit_for_bit_the_apps(
    subject: str,
    options: HarmonizeOptions,
    scans: dict[str, Scan],
    model: Model,
    tmp_path: Path,
) -> None:
    scan = scans[subject]
    outputs = run_app(scan, model, tmp_path, options)
    travelling_subject = subject if subject in model.card.subjects else None
    keywords: dict[str, Any] = {"subject": travelling_subject, "options": options}
    check_equal(harmonize(model, scan.image, **keywords), outputs)
    check_equal(harmonize_scan_arrays(model, scan, **keywords), outputs)


def test_saved_files_are_those_of_the_app(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    outputs = run_app(scans["04"], model, tmp_path / "app", HarmonizeOptions())
    paths = harmonize(model, scans["04"].image).save(tmp_path / "saved", "sub-04")
    assert set(paths) == set((tmp_path / "saved").iterdir())
    assert {path.name for path in paths} == {
        "sub-04_dwi.bval",
        "sub-04_dwi.bvec",
        "sub-04_dwi.json",
        "sub-04_dwi.nii.gz",
        "sub-04_fa.nii.gz",
        "sub-04_fa_denoised.nii.gz",
        "sub-04_fa_uncertainty.nii.gz",
        "sub-04_mask.nii.gz",
        "sub-04_md.nii.gz",
        "sub-04_md_denoised.nii.gz",
        "sub-04_md_uncertainty.nii.gz",
        "sub-04_novelty.nii.gz",
        "sub-04_uncertainty.nii.gz",
    }
    for extension in (".nii.gz", ".bval", ".bvec"):
        saved = tmp_path / f"saved/sub-04_dwi{extension}"
        assert saved.read_bytes() == outputs.dwi(extension).read_bytes()


def test_the_record_beside_saved_files_names_the_model_and_its_networks(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    harmonized = harmonize(model, scans["02"].image, subject="02")
    harmonized.save(tmp_path)
    record = read_json(tmp_path / "harmonized_dwi.json")
    assert record["ModelSHA256"] == hash_file(model.card_file)
    assert record["Network"] == model.fit_for("02").weights.file
    assert (record["HeldOutSubject"], record["Source"]) == ("02", scans["02"].image.name)


def test_maps_of_the_input_are_those_of_the_app_and_a_plot_shows_both(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    outputs = run_app(scans["04"], model, tmp_path, HarmonizeOptions())
    harmonized = harmonize(model, scans["04"].image)
    for path, values in (
        (outputs.tensor_map("fa", "input"), harmonized.input_fa),
        (outputs.tensor_map("md", "input"), harmonized.input_md),
    ):
        np.testing.assert_array_equal(values, np.asarray(load_image(path).dataobj))
    figure = harmonized.plot()
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert len(titles) == 6
    assert titles[:3] == ["FA, input", "FA, harmonized", "FA, difference"]
    shown = [axis.images[0].get_array() for axis in figure.axes if axis.get_title()]
    np.testing.assert_allclose(shown[2], shown[1] - shown[0], atol=1e-6)


def test_files_are_harmonized_once_and_named_after_their_images(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    image = scans["04"].image
    (path,) = harmonize_files(model, [image], tmp_path)
    assert path.name == image.name.replace("_dwi", "_harmonized_dwi")
    before = path.stat().st_mtime_ns
    assert harmonize_files(model, [image], tmp_path) == [path]
    assert path.stat().st_mtime_ns == before
    with pytest.raises(UsageError, match="same name"):
        harmonize_files(model, [image, tmp_path / image.name], tmp_path)


def test_a_scan_of_another_scanner_causes_a_warning(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    image = Path(shutil.copy(scans["04"].image, tmp_path))
    for table in (scans["04"].bval, scans["04"].bvec):
        shutil.copy(table, tmp_path)
    known = replace(model.card.source_scanner, device_serial_number="123")
    model = replace(model, card=replace(model.card, source_scanner=known))
    other = {"ManufacturersModelName": "Skyra", "DeviceSerialNumber": "45678"}
    write_json(image.with_name(image.name.replace(".nii.gz", ".json")), other)
    with pytest.warns(UserWarning, match="Skyra 45678"):
        harmonize(model, image)


def test_models_and_results_are_one_line_each(scans: dict[str, Scan], model: Model) -> None:
    assert repr(model) == (
        f"<Model {model.name}, b 1000 -> {model.target_bvalues[0]:.0f}, 3 folds, "
        "not cross-validated>"
    )
    text = repr(harmonize(model, scans["04"].image))
    assert model.name in text
    assert "out of distribution" in text
    assert "\n" not in text
    assert len(text) < 200


def test_held_out_errors_are_a_table_with_labels_as_text(model: Model, tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="group"):
        model.heldout()
    rows = [{"subject": "01", "method": "shresnet", "nmse": 0.5, "bias": "n/a"}]
    write_tsv(tmp_path / "heldout.tsv", rows, list(rows[0]))
    table = replace(model, folder=tmp_path).heldout()
    assert table["subject"].tolist() == ["01"]
    assert table["nmse"].tolist() == [0.5]
    assert table["bias"].isna().all()


def test_a_device_that_does_not_exist_is_refused_with_a_remedy(
    scans: dict[str, Scan], model: Model
) -> None:
    with pytest.raises(UsageError, match="--device cpu"):
        harmonize(model, scans["04"].image, options=HarmonizeOptions(device="cuda:99"))


def test_only_the_given_mask_is_harmonized(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    scan = scans["04"]
    arrays = read_arrays(scan)
    mask = np.zeros(arrays.data.shape[:3], np.uint8)
    mask[:2] = 1
    mask_file = tmp_path / "mask.nii.gz"
    nib.save(nib.Nifti1Image(mask, arrays.affine), mask_file)
    from_files = harmonize(model, scan.image, mask=mask_file)
    from_arrays = harmonize_scan_arrays(model, scan, mask=mask)
    for harmonized in (from_files, from_arrays):
        np.testing.assert_array_equal(harmonized.mask, mask > 0)
        np.testing.assert_array_equal(harmonized.dwi[mask == 0], arrays.data[mask == 0])


def test_a_request_beyond_the_model_is_refused(scans: dict[str, Scan], model: Model) -> None:
    image = scans["04"].image
    with pytest.raises(UsageError, match="golkov"):
        harmonize(model, image, options=HarmonizeOptions(method="golkov"))
    with pytest.raises(UsageError, match="none of the model's travelling subjects"):
        harmonize(model, image, subject="04")


def test_input_that_does_not_fit_is_named(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    arrays = read_arrays(scans["04"])
    with pytest.raises(BadInput, match="b-vectors for"):
        harmonize_arrays(model, arrays.data, arrays.affine, arrays.bvals, arrays.bvecs[1:])
    with pytest.raises(ValueError, match="no shell at b = 1000"):
        harmonize_arrays(model, arrays.data, arrays.affine, arrays.bvals * 3, arrays.bvecs)
    with pytest.raises(InputMissing, match=r"nowhere\.nii\.gz"):
        harmonize(model, tmp_path / "nowhere.nii.gz")
    with pytest.raises(InputMissing, match=r"model\.json"):
        load_model(tmp_path)


@pytest.mark.slow
def test_the_package_offers_harmonize_without_loading_torch() -> None:
    code = (
        "import sys, bids_shresnet; before = 'torch' in sys.modules; bids_shresnet.harmonize; "
        "print(before, 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True"]
