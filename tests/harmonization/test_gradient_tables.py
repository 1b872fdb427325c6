from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_shresnet.harmonization.harmonize import write_harmonized_scan
from bids_shresnet.inputs.load_scan import load_scan
from bids_shresnet.io.storage import read_json
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.scans import Scan
from tests.datasets import spiral
from tests.harmonization.harmonizing import (
    is_b0,
    make_model,
    write_job,
)
from tests.images import load_image


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
    image = load_image(outputs.dwi())
    b0s = is_b0(outputs.scan)
    expected_bvals = [*np.loadtxt(outputs.scan.bval)[b0s], *[1000.0] * 8]
    assert np.loadtxt(outputs.dwi(".bval")).tolist() == expected_bvals
    assert image.shape[3] == b0s.sum() + 8
    axes = image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0)
    fsl_bvecs = np.loadtxt(outputs.dwi(".bvec"))[:, b0s.sum() :]
    if np.linalg.det(axes) > 0:  # FSL flips x then
        fsl_bvecs[0] *= -1
    np.testing.assert_allclose((axes @ fsl_bvecs).T, spiral(8), atol=1e-4)


def test_a_scan_of_qsiprep_gives_the_same_signal_in_qsipreps_own_convention(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    raw_job = write_job(scans["04"], model, tmp_path / "raw")
    world_bvecs = load_scan(raw_job.scan).dwi.bvecs
    expected = nib.as_closest_canonical(load_image(raw_job.outputs.dwi())).get_fdata()
    scan = store_like_qsiprep(scans["04"], tmp_path / "qsiprep")
    for has_b_table in (False, True):
        b_table = scan.image.with_name("dwi.b") if has_b_table else None
        outputs = replace(
            raw_job.outputs, scan=replace(scan, b_table=b_table), root=tmp_path / f"{has_b_table}"
        )
        job = replace(raw_job, outputs=outputs)
        assert write_harmonized_scan(job)
        assert not write_harmonized_scan(job)
        image = load_image(outputs.dwi())
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
    image = load_image(scan.image)
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
