"""Inventories of tiny datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bids_shresnet.pairs import Inventory
from bids_shresnet.planning.discover import find_scans
from tests.configs import make_config
from tests.datasets import GE, PRISMA, travelling_heads

B0S = {0: 3}  # volumes by b-value of a reverse phase-encoding scan
ONE = "sub-01/dwi/sub-01_dwi"


def find(root: Path, *, required: bool = True, **flags: Any) -> Inventory:
    """Inventory of a dataset."""
    config = make_config(root, root.parent / "out", **flags)
    return find_scans(
        config.input,
        config.scanner,
        is_identity_required=required,
        is_dry_run=config.run.dry_run,
    )


def heads(
    root: Path, both: Sequence[str], ge_only: Sequence[str] = (), prisma_only: Sequence[str] = ()
) -> Path:
    """Write subjects scanned on both scanners, and on one only."""
    subjects = (
        dict.fromkeys(both, (GE, PRISMA))
        | dict.fromkeys(ge_only, (GE,))
        | dict.fromkeys(prisma_only, (PRISMA,))
    )
    return travelling_heads(root, subjects)
