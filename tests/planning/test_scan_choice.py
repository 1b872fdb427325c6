from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest

from bids_shresnet.planning.scan_choice import choose_scan_pairs, find_shared_shells
from bids_shresnet.scans import Scan
from tests.factories import make_scan

Volumes = Mapping[int, int]  # number of volumes by b-value
SHELL: Volumes = {0: 1, 1000: 30}
OTHER_SHELL: Volumes = {0: 1, 5000: 90}


def scan(name: str, volumes: Volumes, day: int | None = None) -> Scan:
    bvals = [float(bvalue) for bvalue, count in volumes.items() for _ in range(count)]
    acquisition = name.partition("acq-")[2]
    entities = {"subject": name[4:6]} | ({"acquisition": acquisition} if acquisition else {})
    acquired = None if day is None else datetime(2020, 1, day)
    stem = Path(f"{name}_dwi")
    return make_scan(stem, entities=entities, bvals=tuple(bvals), acquired=acquired)


def choose(*subjects: list[tuple[Scan, Scan]]) -> list[tuple[str, str]]:
    """Names of the scans that are chosen from the candidates of each subject."""
    candidates = {f"0{number}": pairs for number, pairs in enumerate(subjects, 1)}
    chosen = choose_scan_pairs(candidates).values()
    return [(source.name, target.name) for source, target in chosen]


def test_a_scan_without_a_shell_of_the_other_scanner_is_not_chosen_however_many_directions() -> (
    None
):
    """As of a study that measured b = 5000 on one of its scanners only."""
    few = scan("sub-01_acq-few", SHELL)
    many = scan("sub-01_acq-many", OTHER_SHELL)
    target = scan("sub-01_acq-t", SHELL)
    assert choose([(many, target), (few, target)]) == [(few.name, target.name)]
    assert choose([(many, target)]) == []


def test_all_subjects_get_the_shells_that_give_most_training_data() -> None:
    def subject(number: int, *protocols: Volumes) -> list[tuple[Scan, Scan]]:
        scans = [scan(f"sub-0{number}_acq-{i}", shells) for i, shells in enumerate(protocols)]
        return [(source, target) for source in scans for target in scans]

    both = {0: 1, 1000: 30, 2000: 30}
    chosen = choose(subject(1, SHELL), *(subject(n, SHELL, both) for n in (2, 3, 4)))
    assert chosen == [(f"sub-0{n}_acq-1", f"sub-0{n}_acq-1") for n in (2, 3, 4)]
    chosen = choose(*(subject(n, SHELL) for n in (1, 2, 3, 4)), subject(5, both))
    assert len(chosen) == 5  # the shell b = 1000 of the fifth subject is that of the others


def test_between_equals_the_scans_nearest_in_time_are_chosen() -> None:
    visits = [scan(f"sub-01_run-{day}", SHELL, day) for day in (1, 12, 20)]
    target = scan("sub-01_target", SHELL, 13)
    assert choose([(visit, target) for visit in visits]) == [("sub-01_run-12", target.name)]
    undated = [(scan(f"sub-01_acq-{name}", SHELL), target) for name in "ba"]
    assert choose(undated) == [("sub-01_acq-a", target.name)]


def test_scatter_of_b_values_makes_no_other_shells() -> None:
    subjects = []
    for number, bvalue in enumerate((985, 1000, 1010), 1):
        pair = (scan(f"sub-0{number}", {0: 1, bvalue: 30}), scan(f"sub-1{number}", SHELL))
        subjects.append([pair])
    assert len(choose(*subjects)) == 3


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (SHELL, SHELL, ((1000.0, 1000.0),)),
        (SHELL, OTHER_SHELL, ()),
        ({0: 1, 700: 6, 2000: 6}, {0: 1, 800: 6, 3000: 6}, ((700.0, 800.0),)),
    ],
)
def test_shared_shells_are_within_a_quarter(
    source: Volumes, target: Volumes, expected: tuple[tuple[float, float], ...]
) -> None:
    assert find_shared_shells(scan("sub-01", source), scan("sub-02", target)) == expected
