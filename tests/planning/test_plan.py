from __future__ import annotations

from pathlib import Path

import pytest

from bids_shresnet.errors import BadInput, Finding, InvalidDataset
from bids_shresnet.planning.plan import merge_findings, stop_at_errors
from tests.datasets import Series, write_tree
from tests.inventories import find_inventory


def test_errors_that_many_files_share_are_one_finding(tmp_path: Path) -> None:
    tree = {f"sub-{n:02}/dwi/sub-{n:02}_dwi": Series() for n in range(8)}
    findings = merge_findings(find_inventory(write_tree(tmp_path / "data", tree)).findings)
    assert [finding.severity for finding in findings] == ["error", "note"]
    assert all("and 3 more" in finding.file for finding in findings)


def test_warnings_and_notes_stop_nothing() -> None:
    stop_at_errors([Finding.warning("a", "odd", "look"), Finding.note("b", "odd", "nothing")])


def test_errors_are_raised_with_those_of_the_validator() -> None:
    error = Finding.error("a", "wrong", "correct it")
    invalid = Finding.error("b", "invalid", "correct it")
    with pytest.raises(BadInput) as caught:
        stop_at_errors([Finding.note("c", "odd", "nothing"), error], [invalid])
    assert caught.value.findings == (error, invalid)
    with pytest.raises(InvalidDataset):
        stop_at_errors([], [invalid])
