from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.errors import InputMissing, UsageError
from tests.datasets import PRISMA, TISSUE_TABLE, Series, write_tree
from tests.inventories import B0S, ONE, find, heads


def test_all_errors_are_listed_at_once_and_every_image_is_in_one_place(tmp_path: Path) -> None:
    tree = {
        "sub-01/dwi/sub-01_dwi": Series(sidecar=PRISMA),
        "sub-02/dwi/sub-02_dwi": Series(sidecar=PRISMA, has_tables=False),
        "sub-03/dwi/sub-03_dwi": Series(B0S, sidecar=PRISMA),
        "sub-04/dwi/sub-04_dwi": Series(),
        "sub-05/dwi/sub-05_dwi.nii.gz": None,
        **{f"sub-05/dwi/sub-05_dwi{ext}": text for ext, text in Series().gradient_tables().items()},
    }
    inventory = find(write_tree(tmp_path / "data", tree))
    text = "\n".join(map(str, inventory.findings))
    assert all(word in text for word in ("no .bval", "no .bvec", "--scanner-map", "datalad get"))
    places = [scan.subject for scan in inventory.scans] + [
        item.image.name[4:6] for item in inventory.excluded
    ]
    assert places == ["01", "02", "03", "04", "05"]
    assert all(f"sub-{label}_dwi" in text for label in ("02", "04", "05"))


def test_a_scan_of_an_unknown_scanner_is_left_out_where_no_identity_is_required(
    tmp_path: Path,
) -> None:
    inventory = find(write_tree(tmp_path / "data", {ONE: Series()}), required=False)
    assert ["no sidecar" in item.reason for item in inventory.excluded] == [True]
    assert inventory.findings == ()


def test_spellings_of_one_machine_share_one_scanner(tmp_path: Path) -> None:
    models = ("Prisma_fit", "MAGNETOM Prisma Fit", "Prisma Fit ")
    tree = {
        f"sub-0{n}/dwi/sub-0{n}_dwi": Series(
            sidecar=PRISMA | {"ManufacturersModelName": model, "InstitutionName": model}
        )
        for n, model in enumerate(models)
    }
    scans = find(write_tree(tmp_path / "data", tree)).scans
    assert len({scan.scanner for scan in scans}) == 1


def test_a_column_that_is_nowhere_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="--scanner-column site"):
        find(heads(tmp_path / "data", ["01"]), scanner_column="site")


def test_masks_of_another_space_are_used_only_on_the_scans_own_grid(tmp_path: Path) -> None:
    root = heads(tmp_path / "data", ["01"])
    stem = "sub-01/ses-{0}/dwi/sub-01_ses-{0}_"
    masks = {
        stem.format("ge") + "desc-brain_mask.nii.gz": (2, 2, 2),
        stem.format("ge") + "dseg.nii.gz": (2, 2, 2),
    }
    masks |= {"sub-01/ses-siemens/anat/sub-01_ses-siemens_desc-brain_mask.nii.gz": (3, 2, 2)}
    tree = {name: np.ones(shape, np.uint8) for name, shape in masks.items()}
    derivative = write_tree(
        tmp_path / "qsiprep", tree | {stem.format("ge") + "dseg.tsv": TISSUE_TABLE}
    )
    ge, siemens = find(root, derivatives=(f"qsiprep={derivative}",)).scans
    assert ge.segmentation is not None
    assert (ge.mask, *ge.segmentation.files) == tuple(derivative / name for name in list(masks)[:2])
    assert (siemens.mask, siemens.segmentation) == (None, None)


def test_a_derivative_given_twice_is_a_usage_error(tmp_path: Path) -> None:
    root = heads(tmp_path / "data", ["01"])
    with pytest.raises(UsageError, match="two datasets are named"):
        find(root, derivatives=(str(root), f"data={root}"))


def test_with_models_only_the_subjects_asked_for_are_looked_at(tmp_path: Path) -> None:
    root = heads(tmp_path / "data", ["01", "02"])
    asked = {"participant_label": ("02",)}
    assert {
        scan.subject for scan in find(root, required=False, models=tmp_path, **asked).scans
    } == {"02"}
    assert {scan.subject for scan in find(root, **asked).scans} == {"01", "02"}


def test_a_scan_that_lacks_only_its_image_is_planned_with_though_an_error_names_it(
    tmp_path: Path,
) -> None:
    tree = {ONE: Series(sidecar=PRISMA), "sub-02/dwi/sub-02_dwi": Series(sidecar=PRISMA)}
    root = write_tree(tmp_path / "data", tree)
    (root / f"{ONE}.nii.gz").write_bytes(b"")
    inventory = find(root)
    assert [scan.subject for scan in inventory.scans] == ["01", "02"]
    assert [(finding.severity, "sub-01" in finding.file) for finding in inventory.findings] == [
        ("error", True)
    ]


def test_excluded_subjects_are_left_out_for_that_reason(tmp_path: Path) -> None:
    inventory = find(heads(tmp_path / "data", ["01", "02"]), exclude_participant_label=("sub-02",))
    assert {scan.subject for scan in inventory.scans} == {"01"}
    assert ["--exclude-participant-label" in item.reason for item in inventory.excluded] == [
        True,
        True,
    ]
