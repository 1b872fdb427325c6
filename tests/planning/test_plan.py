from __future__ import annotations

from pathlib import Path

import pytest

from bids_shresnet.errors import BadInput, Finding, InvalidDataset, group_findings
from bids_shresnet.planning.plan import stop_at_errors
from tests.datasets import Series, write_tree
from tests.inventories import find_inventory


def test_errors_that_many_files_share_are_one_with_a_count_and_an_example(tmp_path: Path) -> None:
    tree = {f"sub-{n:02}/dwi/sub-{n:02}_dwi": Series() for n in range(8)}
    groups = group_findings(find_inventory(write_tree(tmp_path / "data", tree)).findings)
    assert [group.severity for group in groups] == ["error", "note"]
    assert all(len(group.files) == 8 for group in groups)
    assert all("8 files, such as" in str(group) for group in groups)
    assert all("sub-00_dwi.nii.gz" in str(group) for group in groups)


def test_findings_of_files_are_alike_if_they_differ_in_numbers_only() -> None:
    scatter = [Finding.note(f"/data/{n}.bval", f"from 9{n} to 1010", "One shell.") for n in "12"]
    assert len(group_findings(scatter)) == 1
    assert len(group_findings(scatter, ignores_numbers=False)) == 2
    scanners = [Finding.note(f"scanner {n}", f"{n} serials", "Check.") for n in "12"]
    assert len(group_findings(scanners)) == 2


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
