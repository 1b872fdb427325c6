from __future__ import annotations

from pathlib import Path

import pytest

from bids_shresnet.io.storage import read_json, read_tsv, write_json, write_tsv
from bids_shresnet.outputs.group_scalars import write_group_scalars


def write_table(root: Path, subject: str, desc: str, role: str, value: float) -> None:
    """Write the table of one region and map."""
    table = root / f"sub-{subject}/dwi/sub-{subject}_seg-JHU_desc-{desc}_scalarstats.tsv"
    cells = {"masked_mean": value, "masked_stdev": 0.1, "masked_weighted_mean": None, "voxels": 9}
    write_tsv(table, [{"region": "CST", "variable_name": "fa", **cells}])
    record = {
        "File": f"sub-{subject}_dwi.nii.gz",
        "Subject": subject,
        "Session": "",
        "Scanner": "GE" if role == "harmonized" else "Prisma",
        "Role": role,
        "TargetScanner": "Prisma",
        "Maps": desc,
        "Segmentation": "JHU",
    }
    write_json(table.with_suffix(".json"), {"Regions": record})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A harmonized scan (sub-01) and a scan of the target (sub-02)."""
    write_table(tmp_path, "01", "input", "harmonized", 0.3)
    write_table(tmp_path, "01", "harmonized", "harmonized", 0.4)
    write_table(tmp_path, "01", "harmonizedDenoised", "harmonized", 0.5)
    write_table(tmp_path, "02", "input", "target", 0.41)
    write_table(tmp_path, "02", "harmonizedDenoised", "target", 0.51)
    return tmp_path


def test_every_stage_has_all_scans_and_the_targets_own_are_the_same_before_and_after(
    root: Path,
) -> None:
    assert write_group_scalars(root) == 6
    values: dict[str, dict[str, float]] = {}
    for row in read_tsv(root / "group_scalars.tsv"):
        values.setdefault(row["stage"], {})[row["batch"]] = float(row["value"])
    assert values == {
        "before": {"GE": 0.3, "Prisma": 0.41},
        "after": {"GE": 0.4, "Prisma": 0.41},
        "denoised": {"GE": 0.5, "Prisma": 0.51},
    }


def test_every_column_is_described(root: Path) -> None:
    write_group_scalars(root)
    columns = read_json(root / "group_scalars.json")
    assert list(columns) == list(read_tsv(root / "group_scalars.tsv")[0])
    assert all(column["Description"] for column in columns.values())


def test_a_weighted_mean_counts_where_there_is_one(root: Path) -> None:
    table = root / "sub-02/dwi/sub-02_seg-JHU_desc-input_scalarstats.tsv"
    rows = read_tsv(table)
    rows[0]["masked_weighted_mean"] = "0.45"
    write_tsv(table, rows)
    write_group_scalars(root)
    values = {row["value"] for row in read_tsv(root / "group_scalars.tsv")}
    assert "0.45" in values
    assert "0.41" not in values


def test_a_damaged_table_is_left_out(root: Path) -> None:
    (root / "sub-02/dwi/sub-02_seg-JHU_desc-input_scalarstats.json").write_text("{}")
    assert write_group_scalars(root) == 4
