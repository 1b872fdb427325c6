from __future__ import annotations

from pathlib import Path

import numpy as np

from bids_shresnet.files.bids import find_dwi
from tests.datasets import DESCRIPTION, GE, PRISMA, TISSUES, Series, write_tree

BRAIN = np.ones((2, 2, 2), np.uint8)


def test_masks_and_segmentations_of_the_same_session_and_space_are_offered(tmp_path: Path) -> None:
    raw = write_tree(tmp_path / "raw", {f"sub-01/ses-{s}/dwi/sub-01_ses-{s}_acq-x_dwi": Series() for s in "ab"})
    names = {
        "sub-01/ses-a/dwi/sub-01_ses-a_acq-x_desc-brain_mask": True,
        "sub-01/ses-a/dwi/sub-01_ses-a_acq-y_desc-brain_mask": False,
        "sub-01/ses-a/dwi/sub-01_ses-a_space-MNI_desc-brain_mask": False,
        "sub-01/ses-a/dwi/sub-01_ses-a_acq-x_label-WM_mask": False,
        "sub-01/ses-a/dwi/sub-01_ses-a_acq-x_dseg": True,
        "sub-01/ses-a/anat/sub-01_ses-a_dseg": False,  # nothing names its labels
        "sub-01/anat/sub-01_desc-brain_mask": True,
    }
    tree = {f"{name}.nii.gz": BRAIN for name in names}
    derivative = write_tree(tmp_path / "d", tree | {"sub-01/ses-a/dwi/sub-01_ses-a_acq-x_dseg.tsv": TISSUES})
    offered = {file.entities["session"]: (*file.masks, *file.dsegs) for file in find_dwi(raw, {"d": derivative})}
    assert set(offered["a"]) == {derivative / f"{name}.nii.gz" for name, fits in names.items() if fits}
    assert offered["a"][0].name.startswith("sub-01_ses-a_acq-x")
    assert offered["b"] == (derivative / "sub-01/anat/sub-01_desc-brain_mask.nii.gz",)


def test_a_preprocessed_image_replaces_its_raw_runs_and_inherits_what_they_agree_on(tmp_path: Path) -> None:
    axes = {"AP": "j-", "PA": "j"}
    runs = {
        f"sub-01/dwi/sub-01_dir-{label}_dwi": Series(sidecar=PRISMA | {"PhaseEncodingDirection": axis})
        for label, axis in axes.items()
    }
    raw = write_tree(tmp_path / "raw", runs | {"sub-02/dwi/sub-02_dwi": Series(sidecar=GE)})
    description = DESCRIPTION | {"DatasetType": "derivative", "GeneratedBy": [{"Name": "qsiprep"}]}
    stem = "sub-01/dwi/sub-01_space-ACPC_desc-preproc_dwi"
    tree = {"dataset_description.json": description, stem: Series(sidecar={"EchoTime": 1})}
    qsiprep = write_tree(tmp_path / "qsiprep", tree)
    files = {file.image.name: file for file in find_dwi(raw, {"qsiprep": qsiprep})}
    preprocessed = files["sub-01_space-ACPC_desc-preproc_dwi.nii.gz"]
    assert preprocessed.metadata == PRISMA | {"EchoTime": 1}
    assert preprocessed.dataset == qsiprep
    replaced = {name for name, file in files.items() if file.replaced_by == preprocessed.image}
    assert replaced == {"sub-01_dir-AP_dwi.nii.gz", "sub-01_dir-PA_dwi.nii.gz"}
