"""Inventories of tiny datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bids_shresnet.pairs import Inventory
from bids_shresnet.planning.discover import find_scans
from tests.configs import make_config
from tests.datasets import GE, PRISMA, Sidecar, travelling_heads

B0_SHELLS = {0: 3}  # volumes by b-value of a reverse phase-encoding scan
DWI = "sub-01/dwi/sub-01_dwi"
GE_LABEL = "SIGNAEXCITE000000UOWMR1"
PRISMA_LABEL = "Prisma66083"
ELITION_LABEL = "IngeniaElitionX45053"


def find_inventory(root: Path, *, is_identity_required: bool = True, **flags: Any) -> Inventory:
    """Find the scans of a dataset with these flags."""
    config = make_config(root, root.parent / "out", **flags)
    return find_scans(
        config.input,
        config.scanner,
        is_identity_required=is_identity_required,
        is_dry_run=config.run.dry_run,
    )


def write_heads(
    root: Path, both: Sequence[str], ge_only: Sequence[str] = (), prisma_only: Sequence[str] = ()
) -> Path:
    """Write subjects scanned on GE and Prisma, and on one of them only."""
    subjects: dict[str, Sequence[Sidecar]] = {}
    subjects |= dict.fromkeys(both, (GE, PRISMA))
    subjects |= dict.fromkeys(ge_only, (GE,))
    subjects |= dict.fromkeys(prisma_only, (PRISMA,))
    return travelling_heads(root, subjects)
