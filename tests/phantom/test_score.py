from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_shresnet.errors import BadInput, InputMissing
from bids_shresnet.evaluation.quantities import nmse
from bids_shresnet.phantom.score import score_scans
from bids_shresnet.phantom.simulate import PhantomConfig, main, write_phantom
from tests.images import load_image

SUFFIXES = (".nii.gz", ".bval", ".bvec")


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom")
    write_phantom(out, PhantomConfig(subjects=1, apply_only=0, voxel_mm=8.0, directions=12))
    return out


def copy_as_harmonized(source: Path, results: Path) -> Path:
    """Make results whose only harmonized scan is a copy of another one."""
    stem = results / "sub-01" / "ses-ge" / "dwi" / "sub-01_ses-ge_desc-harmonized_dwi"
    stem.parent.mkdir(parents=True)
    for suffix in SUFFIXES:
        shutil.copy(f"{source}{suffix}", f"{stem}{suffix}")
    return results


def test_nmse_of_a_tenfold_too_large_value_is_81() -> None:
    truth = np.array([1.0, -2.0, 3.0])
    assert nmse(truth, 10 * truth) == pytest.approx(81)


def test_the_truth_itself_scores_no_error(phantom: Path, tmp_path: Path) -> None:
    scores = score_scans(
        phantom, copy_as_harmonized(phantom / "truth/sub-01/ses-ge_to-prisma_dwi", tmp_path)
    )
    assert len(scores) == 6
    assert all(score.harmonized_nmse == 0 for score in scores)
    assert all(score.input_nmse > 0 for score in scores)


@pytest.mark.parametrize(("tissue", "label"), [("GM", 1), ("WM", 2)])
def test_a_tenth_too_little_signal_in_one_tissue_scores_a_hundredth_there_and_nothing_elsewhere(
    tissue: str, label: int, phantom: Path, tmp_path: Path
) -> None:
    truth = phantom / "truth/sub-01/ses-ge_to-prisma_dwi"
    results = copy_as_harmonized(truth, tmp_path)
    image = load_image(f"{truth}.nii.gz")
    labels = load_image(truth.with_name("ses-ge_to-prisma_tissue.nii.gz")).get_fdata()
    is_weighted = np.loadtxt(f"{truth}.bval") > 50
    factor = np.where((labels == label)[..., None] & is_weighted, 0.9, 1.0)
    harmonized = nib.Nifti1Image(image.get_fdata() * factor, image.affine)
    nib.save(harmonized, next(results.rglob("*.nii.gz")))
    scores = score_scans(phantom, results)
    errors = {score.tissue: score.harmonized_nmse for score in scores if score.quantity == "signal"}
    assert errors == pytest.approx({"GM": 0.0, "WM": 0.0} | {tissue: 0.01}, rel=1e-3, abs=1e-6)


def test_the_source_scan_itself_scores_no_decrease(
    phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = copy_as_harmonized(phantom / "bids/sub-01/ses-ge/dwi/sub-01_ses-ge_dwi", tmp_path)
    scores = score_scans(phantom, results)
    assert all(score.harmonized_nmse == score.input_nmse for score in scores)
    assert main([str(phantom), "--score", str(results)]) == 0
    assert capsys.readouterr().out.count(" 0.0%") == 6


def test_other_directions_are_refused(phantom: Path, tmp_path: Path) -> None:
    results = copy_as_harmonized(phantom / "truth/sub-01/ses-ge_to-prisma_dwi", tmp_path)
    bvec = next(results.rglob("*.bvec"))
    np.savetxt(bvec, np.roll(np.loadtxt(bvec), 1, axis=0))
    with pytest.raises(BadInput, match="other directions"):
        score_scans(phantom, results)


def test_nothing_to_score_is_missing_input(phantom: Path, tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="no harmonized scan"):
        score_scans(phantom, tmp_path)
    with pytest.raises(InputMissing, match="no truth"):
        score_scans(tmp_path, phantom)
    assert main([str(tmp_path), "--score", str(phantom)]) == 66
