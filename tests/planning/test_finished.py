from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bids_shresnet.outputs.layout import ScanOutputs
from bids_shresnet.planning.finished import has_maps, is_harmonized
from bids_shresnet.planning.requirements import Requirements
from bids_shresnet.scans import Scan, Scanner, Shell
from tests.factories import make_scan

NAMES = ("sub-01", "sub-01_space-ACPC_desc-preproc", "sub-01_dir-AP_acq-x")
SHELLS = (Shell(1000.0, 2, 6),)


def scan_named(name: str) -> Scan:
    """A scan of the scanner A whose entities are in the order of its name."""
    names = {"sub": "subject", "dir": "direction", "acq": "acquisition"}
    parts = (part.split("-") for part in name.split("_"))
    entities = {names.get(key, key): value for key, value in parts}
    stem = Path("/data/sub-01/dwi", f"{name}_dwi")
    bvals = (0.0, *[1000.0] * 6)
    return make_scan(stem, entities=entities, scanner=Scanner("A"), bvals=bvals)


def models_to(*targets: str, source: str = "A") -> list[Requirements]:
    """Models from a scanner to others, all with one shell."""
    return [Requirements(target, source, target, SHELLS, SHELLS) for target in targets]


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.mark.parametrize("name", NAMES)
def test_a_scan_is_harmonized_once_the_stamp_of_its_output_exists(
    name: str, tmp_path: Path
) -> None:
    scan = scan_named(name)
    assert not is_harmonized(scan, models_to("B"), tmp_path)
    touch(ScanOutputs(scan, tmp_path).dwi(".json"))
    assert is_harmonized(scan, models_to("B"), tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_scan_of_a_target_has_maps_once_their_stamp_exists(name: str, tmp_path: Path) -> None:
    scan = scan_named(name)
    models = models_to("A", source="B")
    assert not has_maps(scan, models, tmp_path)
    touch(ScanOutputs(scan, tmp_path).qc_table(".json"))
    assert has_maps(scan, models, tmp_path)


@pytest.mark.parametrize(
    ("written", "is_complete"), [((), False), (("B",), False), (("B", "C"), True)]
)
def test_with_several_targets_a_scan_is_harmonized_to_each_that_takes_it(
    written: Sequence[str], is_complete: bool, tmp_path: Path
) -> None:
    """The model to D is of other shells, and that from E of another scanner."""
    scan = scan_named("sub-01")
    other = replace(models_to("D")[0], source_shells=(Shell(3000.0, 2, 6),))
    models = [*models_to("B", "C"), other, *models_to("A", source="E")]
    for target in written:
        touch(ScanOutputs(scan, tmp_path, f"harmonizedTo{target}").dwi(".json"))
    assert is_harmonized(scan, models, tmp_path) == is_complete


def test_what_a_scan_is_harmonized_to_says_nothing_about_its_maps_as_a_target(
    tmp_path: Path,
) -> None:
    scan = scan_named("sub-01")
    models = [*models_to("B"), *models_to("A", source="B")]
    touch(ScanOutputs(scan, tmp_path, "harmonizedToB").qc_table(".json"))
    assert not has_maps(scan, models, tmp_path)
    touch(ScanOutputs(scan, tmp_path, "harmonizedToA").qc_table(".json"))
    assert has_maps(scan, models, tmp_path)
