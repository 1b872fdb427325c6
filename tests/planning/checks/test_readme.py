from __future__ import annotations

from pathlib import Path

import pytest

from tests.datasets import GE, PRISMA, Series, write_tree
from tests.inventories import find_inventory

SIDECARS = {"ucsd1": GE, "sdsu1": PRISMA}
RIGHT = "Sites\n- SDSU-MRI: Siemens Prisma\n- UCSD: a GE scanner\n"
SWAPPED = "Sites\n- SDSU-MRI: GE Discovery MR750\n- UCSD: Siemens Prisma\n"
LABELS = "Everybody was scanned in ses-ge (the source) and ses-sdsu1.\n"  # no vendor
PROSE = "Scanners of GE and Siemens at UCSD and SDSU; Siemens is a vendor. GE, too.\n"


def write_study(root: Path, readme: str) -> Path:
    tree: dict[str, object] = {
        f"sub-01/ses-{session}/dwi/sub-01_ses-{session}_dwi": Series(sidecar=sidecar)
        for session, sidecar in SIDECARS.items()
    }
    return write_tree(root, tree | {"README": readme})


def test_vendors_that_readme_swaps_are_warned_about(tmp_path: Path) -> None:
    """As in a public study of travelling subjects."""
    findings = find_inventory(write_study(tmp_path / "data", SWAPPED)).findings
    assert [finding.severity for finding in findings] == ["warning", "warning"]
    values = sorted(finding.value for finding in findings)
    assert values[0] == "it says GE of sdsu, the sidecars of its sessions Siemens"


@pytest.mark.parametrize("readme", [RIGHT, PROSE, LABELS, "", "\N{DEGREE SIGN}"])
def test_what_is_right_or_no_plain_statement_is_no_finding(tmp_path: Path, readme: str) -> None:
    assert find_inventory(write_study(tmp_path / "data", readme)).findings == ()
