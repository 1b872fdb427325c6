from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_shresnet.harmonization.harmonize import write_harmonized_scan
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.scans import Scan
from tests.harmonization.harmonizing import (
    make_job,
    make_model,
    write_job,
)
from tests.images import load_image


def test_a_scan_is_written_again_only_if_something_it_depends_on_changes(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    job = write_job(scans["04"], model, tmp_path / "out")
    assert not write_harmonized_scan(job)
    job.outputs.dwi(".json").unlink()
    assert write_harmonized_scan(job)
    job.outputs.tensor_map("fa", job.outputs.denoised_desc).unlink()
    assert write_harmonized_scan(job)
    assert write_harmonized_scan(replace(job, options=replace(job.options, noise="target")))
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
    image = load_image(scan.image)
    changed_data = np.asarray(image.dataobj) + 1
    changed_image = nib.Nifti1Image(changed_data, image.affine, image.header)
    nib.save(changed_image, tmp_path / scan.image.name)
    changed_scan = replace(scan, image=tmp_path / scan.image.name, dataset=tmp_path)
    job = make_job(changed_scan, model, tmp_path / "out")
    assert write_harmonized_scan(job)
    assert not write_harmonized_scan(job)
