from __future__ import annotations

from pathlib import Path

from bids_shresnet.io.storage import write_tsv
from bids_shresnet.report.registration_notes import registration_notes

COLUMNS = ("overlap", "signal_correlation", "orientation_correlation")


def test_notes_give_ranges_of_those_trained_on_and_the_reason_for_each_other(
    tmp_path: Path,
) -> None:
    rows: list[dict[str, object]] = [
        {"subject": f"0{n}", **dict.fromkeys(COLUMNS, value), "excluded": ""}
        for n, value in enumerate((0.9, 0.94, 0.96), 1)
    ]
    rows.append({"subject": "04", "excluded": "Registration failed"})
    rows.append({"subject": "05", "excluded": "a slab. It is too thin."})
    write_tsv(tmp_path / "registration.tsv", rows)
    summary, failed, slab = registration_notes(tmp_path)
    assert summary.count("0.94 (0.90 to 0.96)") == 3
    assert failed == "sub-04 was not trained on: Registration failed."
    assert slab == "sub-05 was not trained on: a slab. It is too thin."


def test_without_a_table_there_are_no_notes(tmp_path: Path) -> None:
    assert registration_notes(tmp_path) == []
