from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_shresnet import Model, Result, harmonize, harmonize_arrays, load_model
from bids_shresnet.config import Config
from bids_shresnet.errors import BadInput, InputMissing, UsageError
from bids_shresnet.harmonization.derive import DeriveJob, write_tensor_maps
from bids_shresnet.harmonization.harmonize import HarmonizeJob, make_harmonize_jobs
from bids_shresnet.harmonization.harmonize import write_harmonized_dwi as app_harmonize
from bids_shresnet.planning.discover import find_scans
from bids_shresnet.scans import Scan
from tests.models import constant_model

FLIPPED = nib.orientations.axcodes2ornt(
    "PIL"
)  # the inside is RAS: here every axis is another one and runs backwards


@dataclass(frozen=True)
class Written:
    """What the app wrote for one scan."""

    job: HarmonizeJob

    @property
    def scan(self) -> Scan:
        return self.job.scan

    def image(self, name: str) -> Path:
        return next(self.job.root.rglob(f"*_{name}.nii.gz"))

    def array(self, name: str) -> np.ndarray:
        return np.asarray(nib.load(self.image(name)).dataobj)


@pytest.fixture(scope="module")
def dataset(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The phantom with its source images stored in another voxel order."""
    root = shutil.copytree(phantom / "bids", tmp_path_factory.mktemp("flipped") / "bids")
    for path in root.rglob("*ses-ge_dwi.nii.gz"):
        image = nib.load(path)
        turned = image.as_reoriented(
            nib.orientations.ornt_transform(nib.orientations.io_orientation(image.affine), FLIPPED)
        )
        assert nib.aff2axcodes(turned.affine) == ("P", "I", "L")
        nib.save(turned, path)
    return root


@pytest.fixture(scope="module")
def model(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    scan = scans_of(dataset)["01"]
    assert scan.scanner is not None
    folder = tmp_path_factory.mktemp("model") / "from-a_to-b"
    return constant_model(
        folder, dataset, source=scan.scanner.label, target_bvalue=1100.0, missing=0.2, usual=0.01
    )


def scans_of(dataset: Path) -> dict[str, Scan]:
    found = find_scans(Config(dataset, Path("out"), "participant"), is_identity_required=True).scans
    return {scan.subject: scan for scan in found if scan.entities["session"] == "ge"}


def written_by_the_app(
    dataset: Path, model: Model, subject: str, root: Path, **choices: object
) -> Written:
    (job,), _ = make_harmonize_jobs(
        [scans_of(dataset)[subject]], [model], Config(dataset, root, "participant"), root
    )
    job = replace(job, **choices)
    app_harmonize(job)
    write_tensor_maps(DeriveJob(job.scan, job.root, job.desc))
    return Written(job)


def arrays_of(scan: Scan) -> tuple[np.ndarray, ...]:
    image = nib.load(scan.image)
    return (
        image.get_fdata(dtype=np.float32),
        image.affine,
        np.loadtxt(scan.bval),
        np.loadtxt(scan.bvec).T,
    )


CASES = {
    "held out": ("02", {}),
    "never trained with": ("04", {}),
    "on the target's directions": ("04", {"output_directions": "target"}),
    "abstaining": ("04", {"abstain": True}),
    "with missing shells": ("04", {"missing_shells": True}),
}


@pytest.mark.parametrize("case", CASES)
def test_every_voxel_is_bitwise_the_apps(
    dataset: Path, model: Model, tmp_path: Path, case: str
) -> None:
    subject, choices = CASES[case]
    app = written_by_the_app(dataset, model, subject, tmp_path, **choices)
    asked = {name.replace("missing", "predict_missing"): value for name, value in choices.items()}
    travelling = subject if app.job.is_travelling else None
    for result in (
        harmonize(model, app.scan.image, subject=travelling, **asked),
        harmonize_arrays(model, *arrays_of(app.scan), subject=travelling, **asked),
    ):
        same(result, app)


def same(result: Result, app: Written) -> None:
    np.testing.assert_array_equal(result.dwi, app.array("desc-harmonized_dwi"))
    np.testing.assert_array_equal(result.mask, app.array("desc-brain_mask"))
    np.testing.assert_array_equal(result.novelty, app.array("desc-novelty_dwimap"))
    np.testing.assert_array_equal(result.fa, app.array("param-fa_desc-harmonized_dwimap"))
    np.testing.assert_array_equal(result.md, app.array("param-md_desc-harmonized_dwimap"))
    np.testing.assert_array_equal(result.bvals, np.loadtxt(app.job.output(".bval")))
    np.testing.assert_array_equal(result.bvecs, np.loadtxt(app.job.output(".bvec")).T)
    assert (result.uncertainty is None) == app.job.is_travelling
    if result.uncertainty is not None:
        np.testing.assert_array_equal(result.uncertainty, app.array("desc-uncertainty_dwimap"))


def test_what_is_saved_is_what_the_app_writes(dataset: Path, model: Model, tmp_path: Path) -> None:
    app = written_by_the_app(dataset, model, "04", tmp_path / "app")
    paths = harmonize(model, app.scan.image).save(tmp_path / "saved", "sub-04")
    names = {"dwi", "mask", "fa", "md", "novelty", "uncertainty"}
    assert {path.name for path in paths} == {f"sub-04_{name}.nii.gz" for name in names} | {
        "sub-04_dwi.bval",
        "sub-04_dwi.bvec",
    }
    assert set(paths) == set((tmp_path / "saved").iterdir())
    for extension in (".nii.gz", ".bval", ".bvec"):
        assert (tmp_path / f"saved/sub-04_dwi{extension}").read_bytes() == app.job.output(
            extension
        ).read_bytes()


def test_a_mask_decides_what_is_harmonized(dataset: Path, model: Model, tmp_path: Path) -> None:
    scan = scans_of(dataset)["04"]
    data, affine, bvals, bvecs = arrays_of(scan)
    mask = np.zeros(data.shape[:3], np.uint8)
    mask[:2] = 1
    nib.save(nib.Nifti1Image(mask, affine), tmp_path / "mask.nii.gz")
    results: list[Result] = [
        harmonize(model, scan.image, mask=tmp_path / "mask.nii.gz"),
        harmonize_arrays(model, data, affine, bvals, bvecs, mask=mask),
    ]
    for result in results:
        np.testing.assert_array_equal(result.mask, mask > 0)
        np.testing.assert_array_equal(result.dwi[mask == 0], data[mask == 0])


def test_a_model_is_asked_only_for_what_it_has_learned(
    dataset: Path, model: Model, tmp_path: Path
) -> None:
    image = scans_of(dataset)["04"].image
    with pytest.raises(UsageError, match="golkov"):
        harmonize(model, image, method="golkov")
    with pytest.raises(UsageError, match="none of the model's travelling subjects"):
        harmonize(model, image, subject="04")
    plain = constant_model(tmp_path / "plain", dataset)
    with pytest.raises(UsageError, match="shells that its source lacks"):
        harmonize(plain, image, predict_missing_shells=True)


def test_what_does_not_fit_is_named(dataset: Path, model: Model, tmp_path: Path) -> None:
    scan = scans_of(dataset)["04"]
    data, affine, bvals, bvecs = arrays_of(scan)
    with pytest.raises(BadInput, match="b-vectors for"):
        harmonize_arrays(model, data, affine, bvals, bvecs[1:])
    with pytest.raises(ValueError, match="no shell at b = 1000"):
        harmonize_arrays(model, data, affine, bvals * 3, bvecs)
    with pytest.raises(InputMissing, match=r"nowhere\.bval"):
        harmonize(model, tmp_path / "nowhere.nii.gz")
    with pytest.raises(InputMissing, match=r"model\.json"):
        load_model(tmp_path)


def test_the_package_offers_it_without_loading_it() -> None:
    code = (
        "import sys, bids_shresnet; before = 'torch' in sys.modules; bids_shresnet.harmonize; "
        "print(before, 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True"]
