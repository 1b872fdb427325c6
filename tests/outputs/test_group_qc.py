from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.io.storage import read_json, read_tsv, write_json, write_tsv
from bids_shresnet.outputs.group_qc import SCAN_KEY, write_group_qc

HARMONIZED = {
    "Role": "harmonized",
    "SubjectInTraining": True,
    "MaskMethod": "given",
    "NovelFraction": 0.03,
    "HeldOutErrors": {"WhiteMatterFA": {"NMSE": 0.05, "Bias": 0.01}},
}


def write_scan(root: Path, subject: str, descs: dict[str, float], **record: Any) -> None:
    """Write the table of a scan whose maps have these mean values, and its description."""
    folder = root / f"sub-{subject}/dwi"
    names = ("wm_fa", "wm_md", "gm_fa", "gm_md")
    rows = []
    for desc, value in descs.items():
        means = {name: value + index for index, name in enumerate(names)}
        rows.append({"dwi": desc, "implausible_md": int(value), **means})
    scan = {
        "File": f"sub-{subject}_dwi.nii.gz",
        "Subject": subject,
        "Session": "",
        "Scanner": "GE",
        "MaskMethod": "given",
        "ClippedSignal": 0.01,
        "TargetScanner": "Prisma",
        "Model": "from-GE_to-Prisma",
        **record,
    }
    table = folder / f"sub-{subject}_desc-harmonization_qc.tsv"
    write_tsv(table, rows)
    write_json(table.with_suffix(".json"), {SCAN_KEY: scan})


def read_rows(root: Path) -> list[dict[str, str]]:
    return read_tsv(root / "group_qc.tsv")


def test_harmonized_scans_are_compared_by_their_maps_with_noise_and_targets_as_measured(
    tmp_path: Path,
) -> None:
    descs = {"input": 1.0, "harmonized": 2.0, "harmonizedDenoised": 3.0}
    write_scan(tmp_path, "01", descs, **HARMONIZED)
    target = {"Role": "target", "MaskMethod": "computed"}
    write_scan(tmp_path, "02", {"input": 5.0, "harmonizedDenoised": 6.0}, **target)
    assert write_group_qc(tmp_path) == 2
    first, second = read_rows(tmp_path)
    assert (first["role"], first["wm_fa"], first["wm_fa_denoised"]) == ("harmonized", "2.0", "3.0")
    assert (second["role"], second["gm_md"], second["gm_md_denoised"]) == ("target", "8.0", "9.0")
    assert (first["subject_in_training"], first["mask"]) == ("yes", "given")
    assert (second["subject_in_training"], second["mask"]) == ("n/a", "computed")
    assert (first["implausible_md"], second["implausible_md"]) == ("2", "5")


def test_what_is_not_known_of_a_scan_is_not_available(tmp_path: Path) -> None:
    write_scan(tmp_path, "01", {"input": 1.0, "harmonized": 2.0}, **HARMONIZED)
    write_scan(tmp_path, "02", {"input": 5.0}, Role="target", NoiseLevel=0.04)
    write_group_qc(tmp_path)
    first, second = read_rows(tmp_path)
    assert (first["wm_fa_denoised"], first["noise_level"], first["session_id"]) == ("n/a",) * 3
    assert (first["novel_fraction"], first["wm_fa_nmse"], first["gm_md_nmse"]) == (
        *("0.03", "0.05"),
        "n/a",
    )
    assert (second["novel_fraction"], second["wm_fa_nmse"]) == ("n/a", "n/a")
    assert second["noise_level"] == "0.04"


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"Scan": {}}', None])
def test_a_damaged_scan_has_no_row_and_does_not_stop_the_others(
    content: str | None, tmp_path: Path
) -> None:
    for subject in ("01", "02"):
        write_scan(tmp_path, subject, {"input": 1.0, "harmonized": 2.0}, **HARMONIZED)
    damaged = tmp_path / "sub-01/dwi/sub-01_desc-harmonization_qc.json"
    if content is None:
        damaged.with_suffix(".tsv").unlink()
    else:
        damaged.write_text(content)
    assert write_group_qc(tmp_path) == 1
    assert [row["participant_id"] for row in read_rows(tmp_path)] == ["sub-02"]


def test_with_several_targets_a_scan_has_a_row_for_each(tmp_path: Path) -> None:
    for target in ("A", "B"):
        table = tmp_path / f"sub-01/dwi/sub-01_desc-harmonizationTo{target}_qc.tsv"
        write_scan(tmp_path, "01", {"input": 1.0, f"harmonizedTo{target}": 2.0}, Role="harmonized")
        written = tmp_path / "sub-01/dwi/sub-01_desc-harmonization_qc.tsv"
        for suffix in (".tsv", ".json"):
            written.with_suffix(suffix).rename(table.with_suffix(suffix))
    assert write_group_qc(tmp_path) == 2
    assert [row["wm_fa"] for row in read_rows(tmp_path)] == ["2.0", "2.0"]


def test_every_column_is_described(tmp_path: Path) -> None:
    write_scan(tmp_path, "01", {"input": 1.0, "harmonized": 2.0}, **HARMONIZED)
    write_group_qc(tmp_path)
    columns = read_json(tmp_path / "group_qc.json")
    assert list(columns) == list(read_rows(tmp_path)[0])
    assert all(column["Description"] for column in columns.values())
