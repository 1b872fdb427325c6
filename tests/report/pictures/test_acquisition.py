from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bids_shresnet.inputs.load_scan import describe_image
from bids_shresnet.report.pictures.acquisition import TIMES, acquisition_record
from tests.datasets import PRISMA, Series, write_tree


def test_two_scans_are_described_side_by_side(tmp_path: Path) -> None:
    """Properties that only one scan states have an empty cell; those of neither have no row."""
    first = Series({0: 2, 995: 6, 1005: 1}, shape=(2, 3, 4))
    write_tree(tmp_path, {"a_dwi": first, "b_dwi": Series()})
    own = describe_image(tmp_path / "a_dwi.nii.gz")
    other = replace(describe_image(tmp_path / "b_dwi.nii.gz"), metadata=PRISMA)
    rows = {row["Property"]: (row["Scan"], row["Target"]) for row in acquisition_record(own, other)}
    assert rows["Matrix"] == (f"2 {TIMES} 3 {TIMES} 4", f"2 {TIMES} 2 {TIMES} 2")
    assert rows["Volumes"] == ("9", "7")
    assert rows["b = 0 volumes"] == ("2", "1")
    shells = rows[f"Directions {TIMES} b (s/mm²)"]
    assert shells == (f"7 {TIMES} 1000", f"6 {TIMES} 1000")
    assert rows["Model"] == ("", "Prisma")
    assert "Echo time (s)" not in rows


def test_without_a_target_its_column_is_empty(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a_dwi": Series()})
    rows = acquisition_record(describe_image(tmp_path / "a_dwi.nii.gz"), None)
    assert {row["Target"] for row in rows} == {""}
