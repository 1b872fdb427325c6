"""Scans that a model was applied to, counted for the methods text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bids_shresnet.io.storage import read_tsv
from bids_shresnet.outputs.group_qc import (
    GIVEN_MASK,
    GROUP_QC,
    HARMONIZED_ROLE,
    IN_TRAINING,
    TARGET_ROLE,
)

Row = Mapping[str, str]


@dataclass(frozen=True)
class AppliedScans:
    """Rows of group_qc.tsv about one model."""

    rows: tuple[Row, ...] = ()

    @property
    def harmonized(self) -> list[Row]:
        """Scans that the model harmonized."""
        return [row for row in self.rows if row["role"] == HARMONIZED_ROLE]

    @property
    def travelling(self) -> int:
        """Number of harmonized scans of subjects in the training."""
        return [row["subject_in_training"] for row in self.harmonized].count(IN_TRAINING)

    @property
    def target(self) -> list[Row]:
        """Scans of the model's target."""
        return [row for row in self.rows if row["role"] == TARGET_ROLE]

    @property
    def given_masks(self) -> int:
        """Number of scans that came with a brain mask."""
        return [row["mask"] for row in self.rows].count(GIVEN_MASK)


def read_applied_scans(root: Path) -> dict[str, AppliedScans]:
    """Read the scans in the output by the name of their model."""
    table = root / f"{GROUP_QC}.tsv"
    rows = read_tsv(table) if table.exists() else []
    rows_by_model: dict[str, list[Row]] = {}
    for row in rows:
        rows_by_model.setdefault(row["model"], []).append(row)
    return {model: AppliedScans(tuple(rows)) for model, rows in rows_by_model.items()}
