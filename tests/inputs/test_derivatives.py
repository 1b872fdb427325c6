from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.inputs.find import find_dwi
from bids_shresnet.inputs.qsiprep import QSIPREP_LABELS
from bids_shresnet.scans import LabelImage, ProbabilityMaps, Tissue
from tests.datasets import DESCRIPTION, GE, PRISMA, TISSUES, Series, write_tree

BRAIN = np.ones((2, 2, 2), np.uint8)


def test_masks_and_segmentations_of_the_same_session_and_space_are_offered(tmp_path: Path) -> None:
    raw = write_tree(
        tmp_path / "raw", {f"sub-01/ses-{s}/dwi/sub-01_ses-{s}_acq-x_dwi": Series() for s in "ab"}
    )
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
    derivative = write_tree(
        tmp_path / "d", tree | {"sub-01/ses-a/dwi/sub-01_ses-a_acq-x_dseg.tsv": TISSUES}
    )
    offered = {
        file.entities["session"]: (
            *file.masks,
            *(path for one in file.segmentations for path in one.files),
        )
        for file in find_dwi(raw, {"d": derivative})
    }
    assert set(offered["a"]) == {
        derivative / f"{name}.nii.gz" for name, fits in names.items() if fits
    }
    assert offered["a"][0].name.startswith("sub-01_ses-a_acq-x")
    assert offered["b"] == (derivative / "sub-01/anat/sub-01_desc-brain_mask.nii.gz",)


def test_a_preprocessed_image_replaces_its_raw_runs_and_inherits_what_they_agree_on(
    tmp_path: Path,
) -> None:
    axes = {"AP": "j-", "PA": "j"}
    runs = {
        f"sub-01/dwi/sub-01_dir-{label}_dwi": Series(
            sidecar=PRISMA | {"PhaseEncodingDirection": axis}
        )
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
    replaced = {
        name for name, file in files.items() if file.preprocessed_image == preprocessed.image
    }
    assert replaced == {"sub-01_dir-AP_dwi.nii.gz", "sub-01_dir-PA_dwi.nii.gz"}


def derivative(root: Path, pipeline: str, names: list[str]) -> Path:
    """A dataset that a pipeline made: DWI by names that end so, and images."""
    description = DESCRIPTION | {"DatasetType": "derivative", "GeneratedBy": [{"Name": pipeline}]}
    tree = {name if name.endswith("_dwi") else f"{name}.nii.gz": BRAIN for name in names}
    tree |= {name: Series(sidecar=GE) for name in names if name.endswith("_dwi")}
    return write_tree(root, tree | {"dataset_description.json": description})


@pytest.mark.parametrize(
    ("space", "anatomical"), [("ACPC", "space-ACPC_"), ("T1w", ""), ("T1w", "space-T1w_")]
)
def test_qsipreps_segmentation_is_of_any_grid_and_numbered_its_own_way(
    space: str, anatomical: str, tmp_path: Path
) -> None:
    raw = write_tree(tmp_path / "raw", {"sub-01/ses-a/dwi/sub-01_ses-a_dwi": Series(sidecar=GE)})
    stem = f"sub-01/ses-a/dwi/sub-01_ses-a_space-{space}_"
    dseg = f"sub-01/anat/sub-01_{anatomical}dseg"
    other = f"sub-01/anat/sub-01_{anatomical}desc-aseg_dseg"
    qsiprep = derivative(
        tmp_path / "q",
        "QSIPrep",
        [f"{stem}desc-preproc_dwi", f"{stem}desc-brain_mask", dseg, other],
    )
    (file,) = (file for file in find_dwi(raw, {"q": qsiprep}) if not file.preprocessed_image)
    assert file.segmentations == (LabelImage(qsiprep / f"{dseg}.nii.gz", QSIPREP_LABELS),)
    assert file.masks == (qsiprep / f"{stem}desc-brain_mask.nii.gz",)
    assert {*file.masks, *file.segmentations[0].files} <= file.aligned_files
    assert file.pipeline == "qsiprep"


def test_probability_maps_of_a_subject_are_one_segmentation_known_by_their_labels(
    tmp_path: Path,
) -> None:
    raw = write_tree(
        tmp_path / "raw", {"sub-01/dwi/sub-01_space-T1w_desc-preproc_dwi": Series(sidecar=GE)}
    )
    names = [f"sub-01/anat/sub-01_label-{label}_probseg" for label in ("CSF", "GM", "WM", "BS")]
    elsewhere = [f"sub-01/anat/sub-01_space-MNI_label-{label}_probseg" for label in ("GM", "WM")]
    unnamed = ["sub-01/anat/sub-01_dseg"]  # fMRIPrep's numbers are BIDS's, but nothing here says so
    fmriprep = derivative(tmp_path / "f", "fmriprep", [*names, *elsewhere, *unnamed])
    (file,) = find_dwi(raw, {"f": fmriprep})
    paths = {
        tissue: fmriprep / f"sub-01/anat/sub-01_label-{tissue.name}_probseg.nii.gz"
        for tissue in Tissue
    }
    assert file.segmentations == (ProbabilityMaps(paths),)
    assert set(paths.values()) <= file.aligned_files


def test_another_pipelines_anatomy_is_not_in_qsipreps_space(tmp_path: Path) -> None:
    raw = write_tree(tmp_path / "raw", {})
    qsiprep = derivative(
        tmp_path / "q", "qsiprep", ["sub-01/dwi/sub-01_space-T1w_desc-preproc_dwi"]
    )
    names = [f"sub-01/anat/sub-01_label-{label}_probseg" for label in ("CSF", "GM", "WM")]
    fmriprep = derivative(tmp_path / "f", "fmriprep", names)
    (file,) = find_dwi(raw, {"q": qsiprep, "f": fmriprep})
    assert len(file.segmentations) == 1
    assert file.aligned_files == frozenset()


def test_a_raw_scan_is_not_in_the_space_of_the_anatomy(tmp_path: Path) -> None:
    raw = write_tree(tmp_path / "raw", {"sub-01/dwi/sub-01_dwi": Series(sidecar=GE)})
    masks = ["sub-01/anat/sub-01_desc-brain_mask", "sub-01/dwi/sub-01_desc-brain_mask"]
    found = derivative(tmp_path / "f", "fmriprep", masks)
    (file,) = find_dwi(raw, {"f": found})
    assert file.aligned_files == {found / "sub-01/dwi/sub-01_desc-brain_mask.nii.gz"}
