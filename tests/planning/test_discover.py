from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.errors import InputMissing, UsageError
from bids_shresnet.planning.pair_shells import count_axes
from tests.datasets import PRISMA, TISSUE_TABLE, Series, write_tree
from tests.inventories import B0_SHELLS, DWI, find_inventory, write_heads


def test_all_errors_are_listed_at_once_and_every_image_is_a_scan_or_excluded(
    tmp_path: Path,
) -> None:
    tree: dict[str, object] = {
        "sub-01/dwi/sub-01_dwi": Series(sidecar=PRISMA),
        "sub-02/dwi/sub-02_dwi": Series(sidecar=PRISMA, has_tables=False),
        "sub-03/dwi/sub-03_dwi": Series(B0_SHELLS, sidecar=PRISMA),
        "sub-04/dwi/sub-04_dwi": Series(),
        "sub-05/dwi/sub-05_dwi.nii.gz": None,
    }
    for extension, text in Series().gradient_tables().items():
        tree[f"sub-05/dwi/sub-05_dwi{extension}"] = text
    inventory = find_inventory(write_tree(tmp_path / "data", tree))
    text = "\n".join(map(str, inventory.findings))
    for word in ("no .bval", "no .bvec", "--scanner-map"):
        assert word in text
    assert "datalad get" not in text  # a scan of an unknown scanner is not needed yet
    for subject in ("02", "04", "05"):
        assert f"sub-{subject}_dwi" in text
    assert [scan.subject for scan in inventory.scans] == ["01"]
    assert [scan.subject for scan in inventory.excluded] == ["02", "03", "04", "05"]


def test_a_scan_of_an_unknown_scanner_is_excluded_if_no_identity_is_required(
    tmp_path: Path,
) -> None:
    root = write_tree(tmp_path / "data", {DWI: Series()})
    inventory = find_inventory(root, is_identity_required=False)
    (scan,) = inventory.excluded
    assert "no sidecar" in scan.reason
    assert inventory.findings == ()


def test_repeated_and_opposite_directions_of_a_scan_count_once(tmp_path: Path) -> None:
    series = Series({0: 1, 1000: 14}, sidecar=PRISMA)
    files = series.gradient_tables()
    table = np.array([line.split() for line in files[".bvec"].splitlines()], float)
    table[:, 8:] = -table[:, 1:8]
    text = "\n".join(" ".join(map(str, row)) for row in table)
    root = write_tree(tmp_path / "data", {DWI: series, f"{DWI}.bvec": text})
    (scan,) = find_inventory(root).scans
    assert count_axes(scan, np.arange(1, 15)) == 7


def test_spellings_of_one_machine_share_one_scanner(tmp_path: Path) -> None:
    tree = {}
    for number, model in enumerate(("Prisma_fit", "MAGNETOM Prisma Fit", "Prisma Fit ")):
        sidecar = PRISMA | {"ManufacturersModelName": model, "InstitutionName": model}
        tree[f"sub-0{number}/dwi/sub-0{number}_dwi"] = Series(sidecar=sidecar)
    scans = find_inventory(write_tree(tmp_path / "data", tree)).scans
    assert len({scan.scanner for scan in scans}) == 1


def test_a_column_that_no_table_has_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="--scanner-column site"):
        find_inventory(write_heads(tmp_path / "data", ["01"]), scanner_column="site")


def test_a_mask_of_another_space_is_used_only_on_the_scans_own_grid(tmp_path: Path) -> None:
    root = write_heads(tmp_path / "data", ["01"])
    stem = "sub-01/ses-ge/dwi/sub-01_ses-ge_"
    siemens_mask = "sub-01/ses-siemens/anat/sub-01_ses-siemens_desc-brain_mask.nii.gz"
    tree = {
        f"{stem}desc-brain_mask.nii.gz": np.ones((2, 2, 2), np.uint8),
        f"{stem}dseg.nii.gz": np.ones((2, 2, 2), np.uint8),
        f"{stem}dseg.tsv": TISSUE_TABLE,
        siemens_mask: np.ones((3, 2, 2), np.uint8),
    }
    derivative = write_tree(tmp_path / "qsiprep", tree)
    ge, siemens = find_inventory(root, derivatives=(f"qsiprep={derivative}",)).scans
    assert ge.mask == derivative / f"{stem}desc-brain_mask.nii.gz"
    assert ge.segmentation is not None
    assert ge.segmentation.files == (derivative / f"{stem}dseg.nii.gz",)
    assert (siemens.mask, siemens.segmentation) == (None, None)


def test_a_derivative_given_twice_is_a_usage_error(tmp_path: Path) -> None:
    root = write_heads(tmp_path / "data", ["01"])
    with pytest.raises(UsageError, match="two datasets are named"):
        find_inventory(root, derivatives=("one/masks", "masks=two/masks"))


def test_with_models_only_the_subjects_asked_for_are_found(tmp_path: Path) -> None:
    root = write_heads(tmp_path / "data", ["01", "02"])
    selected = find_inventory(
        root, is_identity_required=False, models=tmp_path, participant_label=("02",)
    )
    everybody = find_inventory(root, participant_label=("02",))
    assert {scan.subject for scan in selected.scans} == {"02"}
    assert {scan.subject for scan in everybody.scans} == {"01", "02"}


def test_a_scan_that_lacks_only_its_image_is_kept_and_an_error_names_it(tmp_path: Path) -> None:
    names = [DWI, "sub-02/dwi/sub-02_dwi"]
    root = write_tree(tmp_path / "data", {name: Series(sidecar=PRISMA) for name in names})
    (root / f"{DWI}.nii.gz").write_bytes(b"")
    inventory = find_inventory(root)
    assert [scan.subject for scan in inventory.scans] == ["01", "02"]
    (finding,) = inventory.findings
    assert finding.severity == "error"
    assert "sub-01" in finding.file


def test_excluded_subjects_are_excluded_for_that_reason(tmp_path: Path) -> None:
    root = write_heads(tmp_path / "data", ["01", "02"])
    inventory = find_inventory(root, exclude_participant_label=("sub-02",))
    assert {scan.subject for scan in inventory.scans} == {"01"}
    assert [scan.subject for scan in inventory.excluded] == ["02", "02"]
    assert all("--exclude-participant-label" in scan.reason for scan in inventory.excluded)


def test_a_dry_run_writes_no_database(tmp_path: Path) -> None:
    root = write_heads(tmp_path / "data", ["01"])
    database = tmp_path / "database"
    assert find_inventory(root, bids_database_dir=database, dry_run=True).scans
    assert not database.exists()
