from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_shresnet.harmonization.harmonize import write_harmonized_scan
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.scans import Scan
from tests.harmonization.harmonizing import (
    make_job,
    make_model,
    write_job,
)
from tests.images import load_image


def cut(path: Path) -> None:
    """Leave half of a file, as a full disk or a broken copy does."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


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


@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_damaged_or_missing_outputs_are_named_and_made_anew_with_the_same_bytes(
    damage: Callable[[Path], object],
    scans: dict[str, Scan],
    model: Model,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    job = write_job(scans["04"], model, tmp_path / "out")
    folder = job.outputs.dwi().parent
    expected = {path: path.read_bytes() for path in folder.iterdir()}
    stamp = job.outputs.dwi(".json")
    others = sorted(set(expected) - {stamp})
    for path in others:
        damage(path)
    assert write_harmonized_scan(job)
    named = [path.name for path in others if path.name in caplog.text]
    assert set(named) >= {path.name for path in others if path.suffix != ".json"}
    damage(stamp)
    assert write_harmonized_scan(job)
    assert {path: path.read_bytes() for path in folder.iterdir()} == expected
    for path in others[::5]:
        damage(path)
        assert write_harmonized_scan(job), path
    assert not write_harmonized_scan(job)


def test_a_scan_is_written_again_if_its_image_changes(
    scans: dict[str, Scan], model: Model, tmp_path: Path
) -> None:
    scan = scans["04"]
    write_job(scan, model, tmp_path / "out")
    image = load_image(scan.image)
    changed_data = np.asarray(image.dataobj) + 1
    changed_image = nib.Nifti1Image(changed_data, image.affine, image.header)
    nib.save(changed_image, tmp_path / scan.image.name)
    shutil.copy(scan.dataset / "dataset_description.json", tmp_path)
    changed_scan = replace(scan, image=tmp_path / scan.image.name, dataset=tmp_path)
    job = make_job(changed_scan, model, tmp_path / "out")
    assert write_harmonized_scan(job)
    assert not write_harmonized_scan(job)
