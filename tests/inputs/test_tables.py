from __future__ import annotations

from pathlib import Path

from bids_shresnet.inputs.tables import group_cells, read_dataset_rows
from bids_shresnet.io.storage import read_tsv, write_tsv
from tests.datasets import write_tree


def test_cells_are_read_from_all_three_tables(tmp_path: Path) -> None:
    tree = {
        "participants.tsv": [["participant_id", "site"], ["sub-01", "P"], ["sub-02", "n/a"]],
        "sub-01/sub-01_sessions.tsv": [["session_id", "site"], ["ses-a", "S"]],
        "sub-01/ses-a/sub-01_ses-a_scans.tsv": [
            ["filename", "site"],
            ["dwi/sub-01_ses-a_dwi.nii.gz", "F"],
        ],
        "sub-02/sub-02_scans.tsv": [["filename", "other"], ["dwi/sub-02_dwi.nii.gz", "F"]],
    }
    rows, findings = read_dataset_rows(write_tree(tmp_path, tree))
    assert not findings
    cells = group_cells(rows, "site")
    assert cells == {"sub-01": {"P"}, "sub-01_ses-a": {"S"}, "sub-01_ses-a_dwi.nii.gz": {"F"}}


def test_a_table_that_cannot_be_read_is_a_finding_and_the_others_are_read(tmp_path: Path) -> None:
    tree = {
        "participants.tsv": "participant_id\tname\nsub-01\tJérôme\n",
        "sub-01/sub-01_sessions.tsv": [["session_id", "site"], ["ses-a", "S"]],
    }
    write_tree(tmp_path, tree)
    table = tmp_path / "participants.tsv"
    table.write_text(table.read_text(encoding="utf-8"), encoding="latin-1")
    rows, (finding,) = read_dataset_rows(tmp_path)
    assert rows == [("sub-01_ses-a", {"session_id": "ses-a", "site": "S"})]
    assert finding.file == str(table)
    assert "UTF-8" in finding.remedy


def test_a_table_comes_back_as_the_text_that_was_written(tmp_path: Path) -> None:
    rows = [{"name": "a b", "number": "0.5"}, {"name": "", "number": "1"}]
    write_tsv(tmp_path / "table.tsv", rows)
    assert read_tsv(tmp_path / "table.tsv") == [rows[0], {"name": "n/a", "number": "1"}]
