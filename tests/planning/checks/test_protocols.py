from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.config import ScannerSettings
from bids_shresnet.inputs.acquisition import read_acquisition
from bids_shresnet.outputs.model.card import ShellRecord
from bids_shresnet.planning.checks.protocols import (
    Protocol,
    check_protocols,
    describe_differences,
    find_protocols,
)
from bids_shresnet.planning.pairing import form_pairs
from bids_shresnet.scans import Acquisition, Shell
from tests.datasets import GE, Series, write_tree
from tests.factories import make_scan
from tests.inventories import find_inventory, write_heads
from tests.models import SOURCE_BVALUE, constant_model, directions

ACQUISITION = Acquisition(
    voxel_size=(2.4, 2.4, 2.4), echo_time=0.08, b0_count=2, mask_method="given", denoised="yes"
)
PROTOCOL = Protocol("from-GE_to-Prisma", "GE", ACQUISITION, (Shell(1000.0, 4, 30),))
BVALS = (0.0, 0.0, *[1000.0] * 30)


def differences(bvals: tuple[float, ...] = BVALS, **changes: Any) -> list[str]:
    scan = make_scan(bvals=bvals)
    return describe_differences(scan, replace(ACQUISITION, **changes), PROTOCOL)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"voxel_size": (2.4, 2.4, 2.0)}, "voxels of 2.4 x 2.4 x 2 mm"),
        ({"echo_time": 0.0845}, "an echo time of 84.5 ms; the model was trained on 80 ms"),
        ({"b0_count": 1}, "1 b=0 volumes; the model was trained on 2"),
        ({"b0_count": 4}, "4 b=0 volumes"),
        ({"mask_method": "computed"}, "a brain mask that is computed; .* that were given"),
        ({"denoised": "no"}, "a scan with its noise"),
        ({"bvals": (0.0, 0.0, *[1015.0] * 30)}, "b = 1015; the model was trained on b = 1000"),
        ({"bvals": (0.0, 0.0, *[1000.0] * 26)}, "26 directions at b = 1000; .* trained on 30"),
        ({"bvals": (0.0, 0.0, *[1000.0] * 34)}, "34 directions at b = 1000; .* trained on 30"),
    ],
)
def test_every_difference_is_named_alone(changes: dict[str, Any], expected: str) -> None:
    (difference,) = differences(**changes)
    assert re.match(expected, difference)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"voxel_size": (2.5, 2.4, 2.3)},
        {"echo_time": 0.083},
        {"echo_time": None},
        {"b0_count": 3},
        {"denoised": "unknown"},
        {"bvals": (0.0, 0.0, *[1005.0] * 30)},
        {"bvals": (0.0, 0.0, *[1000.0] * 27)},
        {"bvals": (0.0, 0.0, *[1000.0] * 33)},
        {"bvals": (0.0, 0.0, *[2000.0] * 30)},  # the scan is excluded
    ],
)
def test_scans_of_one_protocol_do_not_differ(changes: dict[str, Any]) -> None:
    assert differences(**changes) == []


def test_scans_are_compared_with_the_first_travelling_subject_of_their_scanner(
    tmp_path: Path,
) -> None:
    root = write_heads(tmp_path / "data", ["01", "02", "03"])
    odd = "sub-04/ses-ge/dwi/sub-04_ses-ge_dwi"
    write_tree(root, {odd: Series({0: 4, 1000: 6}, GE)})
    inventory = find_inventory(root)
    pairs = form_pairs(inventory, ScannerSettings(target="Prisma")).pairs
    protocols = find_protocols(pairs, (), None)
    (finding,) = check_protocols(inventory.scans, protocols)
    assert finding.severity == "warning"
    assert finding.file == str(root / f"{odd}.nii.gz")
    assert finding.value == "4 b=0 volumes; the model was trained on 1"
    assert pairs[0].name in finding.remedy


@pytest.mark.parametrize(("growth", "count"), [(1.0, 0), (1.04, 0), (1.2, 1)])
def test_scans_are_compared_with_the_card_of_a_model(
    growth: float, count: int, tmp_path: Path
) -> None:
    root = write_heads(tmp_path / "data", [], ge_only=["01"])
    (scan,) = find_inventory(root, is_identity_required=False).scans
    acquisition = read_acquisition(scan)
    sizes = tuple(growth * size for size in acquisition.voxel_size)
    model = constant_model(
        tmp_path / "model",
        root,
        source=scan.scanner_label,
        source_acquisition=replace(acquisition, voxel_size=sizes),
        shells=(ShellRecord(SOURCE_BVALUE, 1000.0, 2, scan.direction_count, directions(8)),),
    )
    assert len(check_protocols([scan], find_protocols((), (model,), None))) == count


def test_scans_whose_image_is_missing_are_left_to_other_checks(tmp_path: Path) -> None:
    scan = make_scan(tmp_path / "sub-01_dwi", bvals=BVALS)
    assert check_protocols([scan], [replace(PROTOCOL, scanner_label="")]) == []
