from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bids_shresnet.config import InputSettings
from bids_shresnet.errors import InputMissing, NothingSelected
from bids_shresnet.planning.requirements import Requirements
from bids_shresnet.planning.selection import select_scans, stop_at_empty_selection
from bids_shresnet.scans import Shell
from tests.configs import make_config
from tests.datasets import ELITION, GE, PRISMA, travelling_heads
from tests.inventories import GE_LABEL, PRISMA_LABEL, find_inventory, write_heads

SHELLS = (Shell(1000.0, 2, 6),)


def require(source: str, target: str) -> Requirements:
    return Requirements(f"from-{source}_to-{target}", source, target, SHELLS, SHELLS)


TO_PRISMA = [require(GE_LABEL, PRISMA_LABEL)]


def test_scans_of_a_source_are_selected_and_the_others_have_a_reason(tmp_path: Path) -> None:
    root = travelling_heads(tmp_path / "data", {"01": (GE, PRISMA), "02": (ELITION,)})
    selection = select_scans(find_inventory(root), TO_PRISMA, InputSettings(root))
    assert [scan.name for scan in selection.scans] == ["sub-01_ses-ge"]
    assert [scan.reason for scan in selection.excluded] == [
        "already the target scanner",
        "no model from this scanner (Ingenia Elition X, serial 45053) to Prisma66083; "
        "train one from subjects scanned on both",
    ]


def test_labels_with_and_without_prefix_select_alike(tmp_path: Path) -> None:
    root = write_heads(tmp_path / "data", ["01", "02"])
    for label, session in (("sub-02", "ses-ge"), ("02", "ge")):
        settings = make_config(root, participant_label=(label,), session_label=(session,)).input
        selection = select_scans(find_inventory(root), TO_PRISMA, settings)
        assert [scan.name for scan in selection.scans] == ["sub-02_ses-ge"]


@pytest.mark.parametrize(
    "flags", [{"participant_label": ("01", "9", "7")}, {"session_label": ("9", "7")}]
)
def test_unknown_labels_are_missing_input_and_all_named(
    tmp_path: Path, flags: dict[str, Any]
) -> None:
    root = write_heads(tmp_path / "data", ["01"])
    with pytest.raises(InputMissing, match=rf"label 9 7: .*{root}.*(01|ge siemens)") as error:
        select_scans(find_inventory(root), TO_PRISMA, InputSettings(root, **flags))
    assert error.value.exit_code == 66


def test_an_empty_selection_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    root = travelling_heads(tmp_path / "data", {"01": (GE, PRISMA), "02": (ELITION,)})
    inventory = find_inventory(root)
    settings = InputSettings(root, participant_label=("02",))
    selection = select_scans(inventory, TO_PRISMA, settings)
    with pytest.raises(NothingSelected, match="1 x no model from this scanner") as error:
        stop_at_empty_selection(inventory, selection, root)
    assert error.value.exit_code == 18


def test_scans_of_the_target_that_were_asked_for_are_selected_to_stay_as_they_are(
    tmp_path: Path,
) -> None:
    root = write_heads(tmp_path / "data", ["01"], prisma_only=["02"])
    inventory = find_inventory(root)
    every = select_scans(inventory, TO_PRISMA, InputSettings(root))
    assert [scan.subject for scan in every.target_scans] == ["01", "02"]
    settings = InputSettings(root, participant_label=("02",))
    selection = select_scans(inventory, TO_PRISMA, settings)
    assert [scan.subject for scan in selection.target_scans] == ["02"]
    assert selection.scans == ()
    stop_at_empty_selection(inventory, selection, root)


def test_a_scanner_can_be_a_source_and_a_target(tmp_path: Path) -> None:
    root = write_heads(tmp_path / "data", ["01"])
    requirements = [require(GE_LABEL, PRISMA_LABEL), require(PRISMA_LABEL, GE_LABEL)]
    selection = select_scans(find_inventory(root), requirements, InputSettings(root))
    assert [scan.name for scan in selection.scans] == ["sub-01_ses-ge", "sub-01_ses-siemens"]
    assert selection.excluded == ()
