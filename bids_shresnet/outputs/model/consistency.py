"""What a model card says twice, and what no schema can say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bids_shresnet.diffusion.shells import MATCH_TOLERANCE
from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.io.file_errors import MODEL_REMEDY
from bids_shresnet.outputs.model.card import MissingShellRecord, ModelCard, ShellRecord

UNIT_TOLERANCE = 1e-3  # of the length of a direction


def check_consistency(card: ModelCard, path: Path) -> None:
    """Check that the parts of a card fit each other.

    Raises
    ------
    BadInput
        If they do not: one finding for each contradiction.
    """
    findings = [Finding.error(path, value, MODEL_REMEDY) for value in _find_contradictions(card)]
    if findings:
        raise BadInput(findings)


def _find_contradictions(card: ModelCard) -> Iterator[str]:
    """Yield what is wrong, in words."""
    name = f"from-{card.source_scanner.label}_to-{card.target_scanner.label}"
    if card.name != name:
        yield f"the name {card.name} of a model {name}"
    for shell in card.shells:
        difference = abs(shell.source_bvalue - shell.target_bvalue)
        if difference > MATCH_TOLERANCE * max(shell.source_bvalue, shell.target_bvalue):
            yield f"b={shell.source_bvalue:g} of the source is no b={shell.target_bvalue:g}"
    bvalues = [shell.source_bvalue for shell in card.shells]
    if bvalues != sorted(bvalues):
        yield f"shells that are not in ascending b: {bvalues}"
    tables: list[ShellRecord | MissingShellRecord] = [*card.shells, *card.missing_shells]
    for table in tables:
        lengths = np.linalg.norm(np.array(table.target_directions), axis=1)
        if np.abs(lengths - 1).max() > UNIT_TOLERANCE:
            yield f"directions of b={table.target_bvalue:g} that are no unit vectors"
    unknown = {subject for fold in card.folds for subject in fold.test} - set(card.subjects)
    if unknown:
        yield f"folds that hold out unknown subjects: {', '.join(sorted(unknown))}"
