from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.errors import Finding, InputMissing, UsageError
from tests.datasets import GE, PRISMA, Series, write_tree
from tests.inventories import find_inventory, write_heads


def values(findings: tuple[Finding, ...], severity: str = "warning") -> list[str]:
    return [finding.value for finding in findings if finding.severity == severity]


def test_a_derivative_with_a_mask_of_a_scan_is_used(tmp_path: Path) -> None:
    root = write_heads(tmp_path / "data", ["01"])
    name = "sub-{}/ses-ge/dwi/sub-{}_ses-ge_desc-brain_mask.nii.gz"
    mask = np.ones((2, 2, 2), np.uint8)
    used = write_tree(tmp_path / "used", {name.format("01", "01"): mask})
    unused = write_tree(tmp_path / "unused", {name.format("02", "02"): mask})
    findings = find_inventory(root, derivatives=(f"a={used}", f"b={unused}")).findings
    (finding,) = findings
    assert finding.file == f"-d b={unused}"
    assert "nothing in it belongs to a DWI" in finding.value


def test_a_derivative_given_twice_under_two_names_is_a_usage_error(tmp_path: Path) -> None:
    root = write_heads(tmp_path / "data", ["01"])
    derivative = write_tree(tmp_path / "masks", {})
    with pytest.raises(UsageError, match="given twice, as a and as b"):
        find_inventory(root, derivatives=(f"a={derivative}", f"b={derivative}"))


def test_lines_of_the_map_that_match_no_scan_are_named(tmp_path: Path) -> None:
    root = write_heads(tmp_path / "data", ["01"])
    rows = ["scan\tscanner", "ses-ge\tA", "sub-01_ses-siemens_dwi.nii.gz\tB", "sub-02\tC"]
    scanner_map = tmp_path / "map.tsv"
    scanner_map.write_text("\n".join(rows))
    (finding,) = find_inventory(root, scanner_map=scanner_map).findings
    assert finding.file == f"{scanner_map}, line sub-02"


def test_an_excluded_participant_must_exist_if_only_without_dwi(tmp_path: Path) -> None:
    root = write_heads(tmp_path / "data", ["01"])
    (root / "sub-phantom").mkdir()
    assert find_inventory(root, exclude_participant_label=("phantom",)).findings == ()
    with pytest.raises(InputMissing, match="phantm"):
        find_inventory(root, exclude_participant_label=("phantm",))


@pytest.mark.parametrize(
    ("name", "is_suspected"),
    [
        ("sub-02/ses-ge/dwi/sub-02_ses-ge_DWI", True),
        ("sub-02/ge/dwi/sub-02_ge_dwi", True),
        ("02/dwi/sub-02_dwi", True),
        ("sub-02/ses-ge/dwi/DTI_64dir", True),  # its tables lie beside it
        ("sub-02/ses-ge/dwi/sub-02_ses-ge_sbref", False),
        ("sub-02/ses-ge/fmap/sub-02_ses-ge_acq-dwi_epi", False),
        ("derivatives/x/sub-02/dwi/sub-02_dwi", False),
    ],
)
def test_what_looks_like_a_dwi_is_named(tmp_path: Path, name: str, *, is_suspected: bool) -> None:
    root = write_tree(write_heads(tmp_path / "data", ["01"]), {name: Series(sidecar=GE)})
    suspected = [finding.file for finding in find_inventory(root).findings]
    assert suspected == ([f"{root / name}.nii.gz"] if is_suspected else [])


def test_a_file_in_the_folder_of_another_subject_is_an_error(tmp_path: Path) -> None:
    name = "sub-09/ses-ge/dwi/sub-01_ses-ge_run-2_dwi"
    root = write_tree(write_heads(tmp_path / "data", ["01"]), {name: Series(sidecar=PRISMA)})
    errors = values(find_inventory(root).findings, "error")
    assert errors == ["the file is of sub-01, its folder of sub-09"]


def test_a_dataset_without_dwi_is_an_error(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "data", {"sub-01/anat/sub-01_T1w.nii.gz": "not read"})
    (error,) = values(find_inventory(root).findings, "error")
    assert error.startswith("it has no DWI")
