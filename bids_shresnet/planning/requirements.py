"""What a model asks of a scan: the one place that decides which scans it takes.

The dry run, the choice of the default target and the run itself all ask here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bids_shresnet.diffusion.shells import find_shell_volumes
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.pair_shells import match_pair_shells
from bids_shresnet.scans import Scan, Shell


@dataclass(frozen=True)
class Requirements:
    """Scanners and shells of a model that was or will be trained.

    Attributes
    ----------
    name
        `from-<source>_to-<target>`.
    source, target
        Labels of its scanners.
    source_shells, target_shells
        Shells that a scan of the source, and one of the target, must have.
    """

    name: str
    source: str
    target: str
    source_shells: tuple[Shell, ...]
    target_shells: tuple[Shell, ...]

    @classmethod
    def of_model(cls, model: Model) -> Requirements:
        """Return what the card of a model asks for."""
        target_shells = tuple(
            Shell(shell.target_bvalue, shell.sh_order) for shell in model.card.shells
        )
        return cls(model.name, model.source, model.target, model.source_shells, target_shells)

    @classmethod
    def of_pair(cls, pair: Pair) -> Requirements:
        """Return what a model will ask for that is trained on a pair.

        Raises
        ------
        BadInput
            If the scans of the pair share no shell.
        """
        shells = match_pair_shells(pair, None)
        return cls(pair.name, pair.source.label, pair.target.label, shells.source, shells.target)

    def source_mismatch(self, scan: Scan) -> str:
        """Return why the model does not take a scan of its source; empty if it does."""
        reason = _missing_shell(scan, self.source_shells)
        return f"the model {self.name} is of other b-values: {reason}" if reason else ""

    def target_mismatch(self, scan: Scan) -> str:
        """Return why a scan of the target is not compared with the model's; empty if it is."""
        reason = _missing_shell(scan, self.target_shells)
        return f"the target of the model {self.name} has other b-values: {reason}" if reason else ""


def _missing_shell(scan: Scan, shells: Sequence[Shell]) -> str:
    """Name a shell that a scan lacks; empty if it has all."""
    try:
        find_shell_volumes(np.array(scan.bvals), shells)
    except ValueError as error:
        return str(error)
    return ""
