from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.inputs.find import find_dwi
from bids_shresnet.inputs.qsiprep import QSIPREP_LABELS
from bids_shresnet.regions import Parcellation
from bids_shresnet.scans import LabelImage, ProbabilityMaps, Tissue
from tests.datasets import DESCRIPTION, GE, PRISMA, TISSUE_TABLE, Series, write_tree

BRAIN = np.ones((2, 2, 2), np.uint8)


def write_derivative(root: Path, pipeline: str, names: Sequence[str]) -> Path:
    """Write a dataset that a pipeline made: DWI where a name ends so, else images."""
    description = DESCRIPTION | {"DatasetType": "derivative", "GeneratedBy": [{"Name": pipeline}]}
    tree: dict[str, object] = {"dataset_description.json": description}
    for name in names:
        if name.endswith("_dwi"):
            tree[name] = Series(sidecar=GE)
        else:
            tree[f"{name}.nii.gz"] = BRAIN
    return write_tree(root, tree)


def derived_paths(file: DwiFile) -> tuple[Path, ...]:
    """Paths of the masks and segmentations of a DWI, in their order."""
    segmentations = (path for segmentation in file.segmentations for path in segmentation.files)
    return (*file.masks, *segmentations)


def test_masks_and_segmentations_of_the_same_session_and_space_belong_to_a_dwi(
    tmp_path: Path,
) -> None:
    names = (f"sub-01/ses-{session}/dwi/sub-01_ses-{session}_acq-x_dwi" for session in "ab")
    raw = write_tree(tmp_path / "raw", {name: Series() for name in names})
    belongs_to_a = {
        "sub-01/ses-a/dwi/sub-01_ses-a_acq-x_desc-brain_mask": True,
        "sub-01/ses-a/dwi/sub-01_ses-a_acq-y_desc-brain_mask": False,
        "sub-01/ses-a/dwi/sub-01_ses-a_space-MNI_desc-brain_mask": False,
        "sub-01/ses-a/dwi/sub-01_ses-a_acq-x_label-WM_mask": False,
        "sub-01/ses-a/dwi/sub-01_ses-a_acq-x_dseg": True,
        "sub-01/ses-a/anat/sub-01_ses-a_dseg": False,  # nothing names its labels
        "sub-01/anat/sub-01_desc-brain_mask": True,
    }
    tree: dict[str, object] = {f"{name}.nii.gz": BRAIN for name in belongs_to_a}
    tree["sub-01/ses-a/dwi/sub-01_ses-a_acq-x_dseg.tsv"] = TISSUE_TABLE
    derivative = write_tree(tmp_path / "d", tree)
    file_a, file_b = find_dwi(raw, {"d": derivative})
    expected = {derivative / f"{name}.nii.gz" for name, belongs in belongs_to_a.items() if belongs}
    assert set(derived_paths(file_a)) == expected
    assert derived_paths(file_a)[0].name.startswith("sub-01_ses-a_acq-x")
    assert derived_paths(file_b) == (derivative / "sub-01/anat/sub-01_desc-brain_mask.nii.gz",)


def test_a_dseg_whose_table_names_no_tissues_is_a_parcellation(tmp_path: Path) -> None:
    raw = write_tree(tmp_path / "raw", {"sub-01/dwi/sub-01_dwi": Series()})
    tracts = [("index", "name"), ("3", "cingulum"), ("4", "fornix")]
    tables = {
        "sub-01/dwi/sub-01_atlas-JHU_dseg": tracts,
        "sub-01/dwi/sub-01_desc-tissue_dseg": TISSUE_TABLE,
        "sub-01/dwi/sub-01_seg-unnamed_dseg": [("index", "name")],
        "sub-01/dwi/sub-01_space-MNI_atlas-JHU_dseg": tracts,
    }
    tree: dict[str, object] = {f"{name}.nii.gz": BRAIN for name in tables}
    tree |= {f"{name}.tsv": table for name, table in tables.items()}
    derivative = write_tree(tmp_path / "d", tree)
    (file,) = find_dwi(raw, {"d": derivative})
    path = derivative / "sub-01/dwi/sub-01_atlas-JHU_dseg.nii.gz"
    assert file.regions == (Parcellation(path, {3: "cingulum", 4: "fornix"}, "JHU"),)
    assert path in file.aligned_files
    assert file.segmentations == ()


def test_a_preprocessed_image_replaces_its_raw_runs_and_inherits_what_they_agree_on(
    tmp_path: Path,
) -> None:
    tree: dict[str, object] = {"sub-02/dwi/sub-02_dwi": Series(sidecar=GE)}
    for label, axis in {"AP": "j-", "PA": "j"}.items():
        sidecar = PRISMA | {"PhaseEncodingDirection": axis}
        tree[f"sub-01/dwi/sub-01_dir-{label}_dwi"] = Series(sidecar=sidecar)
    raw = write_tree(tmp_path / "raw", tree)
    name = "sub-01/dwi/sub-01_space-ACPC_desc-preproc_dwi"
    qsiprep = write_derivative(tmp_path / "qsiprep", "qsiprep", [])
    write_tree(qsiprep, {name: Series(sidecar={"EchoTime": 1})})
    files = {file.image.name: file for file in find_dwi(raw, {"qsiprep": qsiprep})}
    preprocessed = files["sub-01_space-ACPC_desc-preproc_dwi.nii.gz"]
    assert preprocessed.metadata == PRISMA | {"EchoTime": 1}
    assert preprocessed.dataset == qsiprep
    replaced = {
        name for name, file in files.items() if file.preprocessed_image == preprocessed.image
    }
    assert replaced == {"sub-01_dir-AP_dwi.nii.gz", "sub-01_dir-PA_dwi.nii.gz"}


@pytest.mark.parametrize(
    ("space", "anatomical"), [("ACPC", "space-ACPC_"), ("T1w", ""), ("T1w", "space-T1w_")]
)
def test_qsipreps_segmentation_may_have_any_grid_and_has_its_own_numbers(
    space: str, anatomical: str, tmp_path: Path
) -> None:
    raw = write_tree(tmp_path / "raw", {"sub-01/ses-a/dwi/sub-01_ses-a_dwi": Series(sidecar=GE)})
    stem = f"sub-01/ses-a/dwi/sub-01_ses-a_space-{space}_"
    dseg = f"sub-01/anat/sub-01_{anatomical}dseg"
    aseg = f"sub-01/anat/sub-01_{anatomical}desc-aseg_dseg"
    names = [f"{stem}desc-preproc_dwi", f"{stem}desc-brain_mask", dseg, aseg]
    qsiprep = write_derivative(tmp_path / "q", "QSIPrep", names)
    file = next(file for file in find_dwi(raw, {"q": qsiprep}) if not file.preprocessed_image)
    assert file.segmentations == (LabelImage(qsiprep / f"{dseg}.nii.gz", QSIPREP_LABELS),)
    assert file.masks == (qsiprep / f"{stem}desc-brain_mask.nii.gz",)
    assert set(derived_paths(file)) <= file.aligned_files
    assert file.pipeline == "qsiprep"


def test_probability_maps_of_a_subject_are_one_segmentation_known_by_its_labels(
    tmp_path: Path,
) -> None:
    tree = {"sub-01/dwi/sub-01_space-T1w_desc-preproc_dwi": Series(sidecar=GE)}
    raw = write_tree(tmp_path / "raw", tree)
    names = [f"sub-01/anat/sub-01_label-{label}_probseg" for label in ("CSF", "GM", "WM", "BS")]
    names += [f"sub-01/anat/sub-01_space-MNI_label-{label}_probseg" for label in ("GM", "WM")]
    names += ["sub-01/anat/sub-01_dseg"]  # its numbers are those of BIDS, but no table says so
    fmriprep = write_derivative(tmp_path / "f", "fmriprep", names)
    (file,) = find_dwi(raw, {"f": fmriprep})
    paths = {
        tissue: fmriprep / f"sub-01/anat/sub-01_label-{tissue.name}_probseg.nii.gz"
        for tissue in Tissue
    }
    assert file.segmentations == (ProbabilityMaps(paths),)
    assert set(paths.values()) <= file.aligned_files


def test_the_anatomy_of_another_pipeline_is_not_in_the_space_of_qsiprep(tmp_path: Path) -> None:
    raw = write_tree(tmp_path / "raw", {})
    names = ["sub-01/dwi/sub-01_space-T1w_desc-preproc_dwi"]
    qsiprep = write_derivative(tmp_path / "q", "qsiprep", names)
    names = [f"sub-01/anat/sub-01_label-{label}_probseg" for label in ("CSF", "GM", "WM")]
    fmriprep = write_derivative(tmp_path / "f", "fmriprep", names)
    (file,) = find_dwi(raw, {"q": qsiprep, "f": fmriprep})
    assert len(file.segmentations) == 1
    assert file.aligned_files == frozenset()


def test_a_raw_scan_is_not_in_the_space_of_the_anatomy(tmp_path: Path) -> None:
    raw = write_tree(tmp_path / "raw", {"sub-01/dwi/sub-01_dwi": Series(sidecar=GE)})
    names = ["sub-01/anat/sub-01_desc-brain_mask", "sub-01/dwi/sub-01_desc-brain_mask"]
    fmriprep = write_derivative(tmp_path / "f", "fmriprep", names)
    (file,) = find_dwi(raw, {"f": fmriprep})
    assert file.aligned_files == {fmriprep / "sub-01/dwi/sub-01_desc-brain_mask.nii.gz"}
