from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_shresnet.errors import BadInput
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.pair_shells import match_pair_shells
from bids_shresnet.scans import Scan, Scanner, Shell
from tests.factories import make_scan

Volumes = dict[int, int]  # number of volumes by b-value


def scan(volumes: Volumes, subject: str = "01") -> Scan:
    bvals = [bvalue for bvalue, count in volumes.items() for _ in range(count)]
    return make_scan(subject=subject, bvals=tuple(map(float, bvals)))


def pair(*travelling: tuple[Volumes, Volumes]) -> Pair:
    """A pair of scanners; source scans are of subjects 01, 02, ..., target scans of 11, 12, ..."""
    scans = []
    for number, (source, target) in enumerate(travelling, 1):
        scans.append((scan(source, f"0{number}"), scan(target, f"1{number}")))
    return Pair(Scanner("GE"), Scanner("Prisma"), tuple(scans))


def test_matched_are_the_nearest_shells_of_both_scanners_and_no_others() -> None:
    source = {0: 1, 1000: 30, 3000: 60}
    target = {0: 1, 700: 20, 1200: 12, 2800: 60, 5000: 60}
    shells = match_pair_shells(pair(*[(source, target)] * 3), None)
    # of order 2 where the target's 12 directions are too few for the 15 coefficients of order 4
    assert shells.source == (Shell(1000.0, 2, 30), Shell(3000.0, 4, 60))
    assert shells.target == (Shell(1200.0, 2, 12), Shell(2800.0, 4, 60))


def test_repeated_directions_count_once_for_the_order() -> None:
    """Five averages of six directions determine a tensor, not the 15 coefficients of order 4."""
    scanners = pair(({0: 1, 1000: 30}, {0: 1, 1000: 30}))
    ((source, target),) = scanners.travelling_scans
    repeated = replace(target, axis_numbers=(0, *np.tile(np.arange(1, 7), 5).tolist()))
    shells = match_pair_shells(replace(scanners, travelling_scans=((source, repeated),)), None)
    assert shells.source == shells.target == (Shell(1000.0, 2, 30),)


def test_missing_are_the_targets_other_shells_if_they_are_to_be_predicted() -> None:
    source = {0: 1, 1000: 30}
    target = {0: 1, 700: 20, 1200: 12, 2800: 60}
    scanners = pair(*[(source, target)] * 3)
    shells = match_pair_shells(scanners, None, should_predict_missing=True)
    assert shells.missing == (Shell(700.0, 4, 20), Shell(2800.0, 4, 60))
    assert match_pair_shells(scanners, None).missing == ()


def test_a_target_scan_without_a_shell_to_predict_is_an_error() -> None:
    source = {0: 1, 1000: 30}
    without_shell = {0: 1, 700: 20, 1200: 12}
    scanners = pair((source, without_shell | {2800: 60}), (source, without_shell))
    with pytest.raises(BadInput, match="b = 2800"):
        match_pair_shells(scanners, None, should_predict_missing=True)
    assert match_pair_shells(scanners, None).missing == ()


def test_the_requested_order_is_used() -> None:
    volumes = {0: 1, 1000: 64}
    shells = match_pair_shells(pair((volumes, volumes)), 8)
    assert shells.source == shells.target == (Shell(1000.0, 8, 64),)


def test_halves_have_the_order_of_the_subject_with_the_fewest_directions() -> None:
    source = {0: 1, 1000: 30, 2000: 40}
    fewer = {0: 1, 1000: 29, 2000: 40}
    target = {0: 1, 1000: 30, 2000: 11}
    shells = match_pair_shells(pair((source, target), (fewer, target)), None)
    assert shells.source == (Shell(1000.0, 4, 30), Shell(2000.0, 2, 40))
    assert shells.source_halves == (Shell(1000.0, 2, 30), Shell(2000.0, 2, 40))
    assert shells.target_halves == ()  # five directions are too few


def test_scanners_without_a_common_shell_are_an_error() -> None:
    scanners = pair(({0: 1, 1000: 30}, {0: 1, 3000: 30}))
    with pytest.raises(BadInput, match="no b-value within 25 %"):
        match_pair_shells(scanners, None)


def test_all_scans_that_lack_a_shell_are_named_at_once() -> None:
    common = {0: 1, 1000: 30}
    other = {0: 1, 2000: 30}
    scanners = pair((common, common), (other, common), (common, other), (common, common))
    with pytest.raises(BadInput) as caught:
        match_pair_shells(scanners, None)
    files = [finding.file for finding in caught.value.findings]
    assert files == ["sub-02_dwi.nii.gz", "sub-13_dwi.nii.gz"]
