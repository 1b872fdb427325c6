from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from jaxtyping import Float, Shaped

from benchmarks.preprocessing_changes import resample_dwi
from benchmarks.robustness import UNCHANGED, Arguments, format_rows, list_variants
from benchmarks.robustness_scans import ALL_CHANGES, Variant, write_descriptions, write_variants
from benchmarks.robustness_scores import TargetNoise, Truth, read_truth, score_variant
from benchmarks.robustness_warnings import format_warnings, read_all_warnings
from bids_shresnet.io.images.nifti import read_dwi, read_on_grid
from bids_shresnet.io.storage import write_json, write_tsv
from bids_shresnet.scans import Dwi, Scan
from tests.datasets import GE, PRISMA, Series, spiral, write_tree
from tests.diffusion.heads import make_dwi
from tests.inventories import find_inventory
from tests.models import constant_model

SHAPE = (6, 7, 8)
LAS = np.array([[-2.0, 0, 0, 9], [0, 2, 0, -8], [0, 0, 2, 5], [0, 0, 0, 1]])
SERIES = Series({0: 2, 1000: 8}, GE, shape=SHAPE)
SOURCE = "sub-{0}/ses-ge/dwi/sub-{0}_ses-ge_dwi"
TRUTH = "truth/sub-04/ses-ge_to-prisma"
MASK = np.zeros(SHAPE, np.uint8)
MASK[1:-1, 1:-2, 2:-1] = 1
LABELS = MASK * np.where(np.arange(SHAPE[0]) < 3, 1, 2)[:, None, None].astype(np.uint8)


def las_image(values: Shaped[np.ndarray, "i j k *n"]) -> nib.Nifti1Image:
    return nib.Nifti1Image(values, LAS)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Three travelling subjects, and one of the source with its truth."""
    signal = (
        np.random.default_rng(0).integers(100, 1000, (*SHAPE, len(SERIES.bvals))).astype(np.int16)
    )
    tree: dict[str, object] = {}
    for label in ("01", "02", "03", "04"):
        tree[SOURCE.format(label)] = SERIES
        tree[f"{SOURCE.format(label)}.nii.gz"] = las_image(signal)
    tree |= {SOURCE.format("04").replace("ge", "prisma"): Series(sidecar=PRISMA)}
    write_tree(tmp_path / "bids", tree)
    write_tree(tmp_path / "truth", {})
    truth = {f"{TRUTH}_dwi": SERIES, f"{TRUTH}_dwi.nii.gz": las_image(signal)}
    truth |= {f"{TRUTH}_mask.nii.gz": las_image(MASK), f"{TRUTH}_tissue.nii.gz": las_image(LABELS)}
    write_tree(tmp_path, truth)
    return tmp_path


def variants(study: Path, *changes: str) -> list[Variant]:
    bids = study / "bids"
    model = constant_model(study / "model", bids, source="SIGNAEXCITE000000UOWMR1")
    arguments = Arguments(bids, study / "out", model.folder, changes=changes)
    return list_variants(arguments, model)


def read_back(variants: list[Variant], out: Path) -> dict[str, Scan]:
    """Write the changed scans, and find them as the app does."""
    derivatives = write_descriptions(out, [variant.change for variant in variants])
    write_variants(variants, seed=1)
    flags = tuple(f"{name}={path}" for name, path in derivatives.items())
    inventory = find_inventory(out / "bids", is_identity_required=False, derivatives=flags)
    return {scan.subject: scan for scan in inventory.scans}


def test_scans_of_the_source_are_changed_that_the_model_was_not_trained_on(study: Path) -> None:
    subjects = [variant.subject for variant in variants(study, "mppca", "noisier")]
    assert subjects == ["04unchanged", "04mppca", "04noisier"]
    other = constant_model(study / "other", study / "bids", source="Elition")
    arguments = Arguments(study / "bids", study / "out", other.folder)
    with pytest.raises(SystemExit, match="no scan of Elition"):
        list_variants(arguments, other)


def test_the_unchanged_scan_is_read_back_as_it_was(study: Path) -> None:
    (variant,) = variants(study)
    scan = read_back([variant], study / "out")["04unchanged"]
    assert_same_dwi(read_dwi(scan), read_dwi(variant.scan))
    assert scan.scanner == variant.scan.scanner
    assert scan.mask is None


@pytest.mark.parametrize(("change", "voxels"), [("mask", 0), ("smallmask", -1), ("largemask", 1)])
def test_a_changed_mask_is_found_with_the_scan_as_it_was(
    study: Path, change: str, voxels: int
) -> None:
    variant = variants(study, change)[-1]
    scan = read_back([variant], study / "out")[variant.subject]
    dwi = read_dwi(scan)
    assert_same_dwi(dwi, read_dwi(variant.scan))
    assert scan.mask is not None
    mask = read_on_grid(scan.mask, dwi.shape, dwi.affine, spline_order=0)
    assert np.sign(mask.sum() - MASK.sum()) == voxels
    assert {0.0, 1.0} == set(np.unique(mask))


@pytest.mark.parametrize(("change", "scale"), [("qsiprep", 1.0), ("finer", 0.8), ("coarser", 1.5)])
def test_a_scan_like_qsipreps_is_read_as_the_resampled_scan_with_its_mask(
    study: Path, change: str, scale: float
) -> None:
    variant = variants(study, change)[-1]
    scan = read_back([variant], study / "out")[variant.subject]
    dwi = read_dwi(scan)
    assert_same_dwi(dwi, resample_dwi(read_dwi(variant.scan), scale))
    assert scan.scanner == variant.scan.scanner
    assert scan.bvec_axes == "image"
    assert scan.mask is not None
    mask = read_on_grid(scan.mask, dwi.shape, dwi.affine, spline_order=0)
    assert mask.sum() * scale**3 == pytest.approx(MASK.sum(), rel=0.5)


def assert_same_dwi(dwi: Dwi, expected: Dwi) -> None:
    np.testing.assert_allclose(dwi.data, expected.data, rtol=1e-5)
    np.testing.assert_allclose(dwi.affine, expected.affine, atol=1e-4)
    np.testing.assert_array_equal(dwi.bvals, expected.bvals)
    np.testing.assert_allclose(dwi.bvecs, expected.bvecs, atol=1e-5)


def test_a_stopped_command_goes_on_with_the_scans_that_lack(study: Path) -> None:
    both = variants(study, "noisier")
    image = read_back(both[:1], study / "out")["04unchanged"].image
    written = image.stat().st_mtime_ns
    assert set(read_back(both, study / "out")) == {"04unchanged", "04noisier"}
    assert image.stat().st_mtime_ns == written


def test_the_truth_is_the_targets_tensor_and_its_noise_raises_fa_of_weak_diffusion(
    study: Path,
) -> None:
    stem = study / TRUTH
    signal = np.full((*SHAPE, 8), 0.5)
    dwi = make_dwi(signal, np.full(8, 1000.0), spiral(8))
    paths = [stem.with_name(f"{stem.name}_dwi.{kind}") for kind in ("nii.gz", "bval", "bvec")]
    nib.save(las_image(dwi.data[::-1]), paths[0])
    np.savetxt(paths[1], dwi.bvals[None])
    np.savetxt(paths[2], (dwi.bvecs * [-1, 1, 1]).T)
    maps = read_truth(stem, None).maps
    brain = maps["md"].get_fdata() > 0
    assert brain.sum() == MASK.sum()
    np.testing.assert_allclose(maps["md"].get_fdata()[brain], np.log(2) / 1000, rtol=1e-3)
    np.testing.assert_allclose(maps["fa"].get_fdata()[brain], 0, atol=1e-3)
    noisy = [read_truth(stem, TargetNoise(snr, 8)).maps["fa"] for snr in (40, 20)]
    means = [image.get_fdata()[brain].mean() for image in noisy]
    assert means[1] == pytest.approx(2 * means[0], rel=0.15)


def write_outputs(root: Path, variant: Variant, scale: float, mask: np.ndarray) -> None:
    """Write maps of which the harmonized ones are the input's times a number."""
    folder = root / f"sub-{variant.subject}/ses-ge/dwi"
    folder.mkdir(parents=True)
    name = variant.stem("").name
    for desc, factor in (("input", 0.5), ("harmonized", scale)):
        for parameter in ("fa", "md"):
            path = folder / f"{name}_model-tensor_param-{parameter}_desc-{desc}_dwimap.nii.gz"
            nib.save(las_image(factor * truth_map()), path)
    nib.save(las_image(mask), folder / f"{name}_desc-brain_mask.nii.gz")


def truth_map() -> Float[np.ndarray, "i j k"]:
    return np.asarray(np.random.default_rng(2).uniform(0.2, 0.8, SHAPE) * MASK)


def test_maps_are_compared_with_the_truth_and_with_those_of_the_unchanged_scan(
    study: Path,
) -> None:
    usual, changed = variants(study, "smallmask")
    half = MASK * (np.arange(SHAPE[2]) < 4).astype(np.uint8)
    write_outputs(study, usual, 1.0, MASK)
    write_outputs(study, changed, 1.1, half)
    images = {name: nib.as_closest_canonical(las_image(truth_map())) for name in ("fa", "md")}
    truth = Truth(images, nib.as_closest_canonical(las_image(LABELS)))
    unchanged = {
        name: nib.Nifti1Image(2 * image.get_fdata(), image.affine) for name, image in images.items()
    }
    rows = pd.DataFrame(score_variant(study, changed, truth, unchanged))
    assert [*zip(rows.tissue, rows.quantity, strict=True)] == [
        ("WM", "FA"),
        ("WM", "MD"),
        ("GM", "FA"),
        ("GM", "MD"),
    ]
    np.testing.assert_allclose(rows.covered, half.sum() / MASK.sum())
    np.testing.assert_allclose(rows.input_bias, -0.5, atol=1e-6)
    np.testing.assert_allclose(rows.bias, 0.1, atol=1e-6)
    np.testing.assert_allclose(rows.input_nmse, 0.25, atol=1e-6)
    np.testing.assert_allclose(rows.nmse, 0.01, atol=1e-6)
    np.testing.assert_allclose(rows.to_unchanged, -0.45, atol=1e-6)


def test_all_that_was_said_about_a_scan_is_read_once(study: Path) -> None:
    usual, changed = variants(study, "mppca")
    run = study / "logs/20260101-000000_a"
    write_json(run / "config.json", {})
    path = "/out/bids/sub-04mppca/dwi/sub-04mppca_ses-ge_dwi.nii.gz"
    finding = {"severity": "warning", "file": path, "value": "odd", "remedy": "Look."}
    write_tsv(run / "findings.tsv", [finding, finding | {"severity": "note", "value": "fine"}])
    row = {"file": "sub-04mppca_ses-ge_dwi.nii.gz", "status": "failed", "reason": "no memory"}
    write_tsv(run / "status.tsv", [row, row | {"status": "done", "reason": ""}])
    lines = [
        f"t WARNING bids_shresnet.planning.plan: {path}: odd. Look.",
        "t WARNING bids_shresnet.harmonization.harmonize: sub-04mppca_ses-ge_dwi.nii.gz: new: 9 %",
        "t INFO bids_shresnet.harmonization.harmonize: sub-04mppca_ses-ge_dwi.nii.gz: done",
        "t WARNING bids_shresnet.harmonization.harmonize: sub-04mppca2_ses-ge_dwi.nii.gz: other",
    ]
    (run / "run.log").write_text("\n".join(lines))
    said = ["no result", "odd. Look.", "failed: no memory", "new: 9 %"]
    warnings = read_all_warnings(study, [usual, changed])
    assert warnings == {UNCHANGED: [["no result"]], "mppca": [said]}
    twice: dict[str, list[list[str]]] = {"mppca": [said, said[1:]], "eddy": [[], []]}
    lines = [f"- mppca: {text}" for text in said] + ["- eddy: no warning"]
    assert format_warnings(twice).splitlines() == lines


def test_a_line_holds_the_means_over_scans() -> None:
    first = {
        "change": "eddy",
        "tissue": "WM",
        "quantity": "FA",
        "covered": 1.0,
        "input_bias": -0.2,
        "bias": 0.01,
        "input_nmse": 0.5,
        "nmse": 0.1,
        "to_unchanged": -0.04,
        "novel": 0.1,
        "noise": 0.04,
    }
    second = first | {"bias": 0.03, "nmse": 0.3, "covered": 0.5, "novel": 0.3}
    other = {"quantity": "MD", "bias": 0.0}
    scores = pd.DataFrame([first, second, first | other, second | other])
    assert format_rows(scores, {"eddy": [["a"], ["a", "b"]]}) == (
        "| eddy | WM | 75% | -20.0% → +2.0% | -20.0% → +0.0% | 0.5000 → 0.2000 | 0.5000 → 0.2000 "
        "| -4.0% | -4.0% | 0.040 | 20.0% | 1.5 |\n"
    )


def test_every_change_has_a_label_that_a_subject_may_have() -> None:
    assert len(set(ALL_CHANGES)) == len(ALL_CHANGES)
    assert all(change.isalnum() for change in ALL_CHANGES)
