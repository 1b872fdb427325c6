"""Verify an output dataset by its stamps: what is damaged, and what a model or a version made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.outputs.group_qc import SCAN_KEY
from bids_shresnet.outputs.model.folder import CARD_FILE, models_folder, read_model
from bids_shresnet.outputs.stamps import (
    OUTPUT_FILES_KEY,
    VERSION_KEY,
    find_damaged_files,
    read_stamp,
)

STAMP_PATTERNS = (  # temporary files of other jobs do not begin with `sub-`
    "sub-*/**/dwi/sub-*_desc-harmonized*_dwi.json",
    "sub-*/**/dwi/sub-*_qc.json",
    "sub-*/**/dwi/sub-*_scalarstats.json",
    "sub-*/figures/sub-*_desc-figures*_dwi.json",
)
REMEDY = "Run `participant` again, which writes it again."


@dataclass(frozen=True)
class StampedOutput:
    """Files that were written together.

    Attributes
    ----------
    stamp
        Path of the file that stamps them.
    version
        Version of the app that wrote them.
    model, model_digest
        Name of the model, and SHA-256 of its model.json; empty if they are not known.
    damaged
        Files that are missing or have changed, by path in the dataset.
    """

    stamp: Path
    version: str
    model: str
    model_digest: str
    damaged: tuple[str, ...]

    def is_made_by(self, model: str | None, version: str | None) -> bool:
        """Return whether a model (name, or first digits of its digest) and a version made it."""
        is_model = model is None or self.model == model or self.model_digest.startswith(model)
        return is_model and version in (None, self.version)


def read_stamped_outputs(root: Path) -> Iterator[StampedOutput]:
    """Read all stamps of an output dataset, and compare what they stamp with it.

    A stamp that is removed meanwhile is left out: its files are being written again.
    """
    for pattern in STAMP_PATTERNS:
        for path in sorted(root.glob(pattern)):
            stamp = read_stamp(path)
            if not os.path.lexists(path):
                continue
            if stamp and OUTPUT_FILES_KEY not in stamp:
                continue  # the table of a harmonized scan, which the sidecar of its DWI stamps
            name = path.relative_to(root).as_posix()
            record = stamp.get("Harmonization", stamp.get(SCAN_KEY, {}))
            yield StampedOutput(
                stamp=path,
                version=stamp.get(VERSION_KEY, ""),
                model=record.get("Model", ""),
                model_digest=record.get("ModelSHA256", ""),
                damaged=tuple(find_damaged_files(stamp, root)) if stamp else (name,),
            )


def find_damage(root: Path, outputs: list[StampedOutput]) -> list[Finding]:
    """Find damaged files of the outputs, and damaged models."""
    findings = [
        Finding.error(root / name, "changed or missing since it was written", REMEDY)
        for output in outputs
        for name in output.damaged
    ]
    for card in sorted(models_folder(root).glob(f"*/{CARD_FILE}")):
        try:
            read_model(card.parent)
        except BadInput as error:
            findings += error.findings
    return findings
