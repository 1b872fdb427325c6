from __future__ import annotations

from benchmarks.run_profile import format_table


def test_the_table_has_seconds_shares_and_totals_with_the_longest_task_first() -> None:
    table = format_table({"one": {"a": 1.0, "b": 3.0}, "two": {"c": 9.0, "b": 1.0}})
    assert table.splitlines() == [
        "| CPU seconds | one | two |",
        "|---|---|---|",
        "| c |  | 9.0 (90 %) |",
        "| b | 3.0 (75 %) | 1.0 (10 %) |",
        "| a | 1.0 (25 %) |  |",
        "| all | 4.0 | 10.0 |",
    ]
