"""Which of the masks and segmentations that are offered for a scan can be used for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.io.nifti import GRID_TOLERANCE_MM
from bids_shresnet.io.nifti_header import read_grid
from bids_shresnet.planning.checks import headers as checks_header

Candidate = TypeVar("Candidate")


@dataclass
class ImageMatcher:
    """Which masks and segmentations show a scan's space: on its grid, or on another one and their names say so.

    Unreadable ones become warnings in `faults`; those on a grid of their own are told there only if no other is usable.
    """

    file: DwiFile
    shape: tuple[int, ...]
    affine: Float[np.ndarray, "4 4"]
    findings: list[Finding] = field(default_factory=list)

    def find_first(
        self, candidates: Iterable[Candidate], files: Callable[[Candidate], Iterable[Path]]
    ) -> Candidate | None:
        """The first of which all files can be used."""
        elsewhere: list[Finding] = []
        for one in candidates:
            found = [self._check_grid(path) for path in files(one)]
            if not any(found):
                return one
            elsewhere += [finding for some in found for finding in some]
        self.findings += elsewhere
        return None

    def _check_grid(self, path: Path) -> list[Finding]:
        """What keeps an image from being used."""
        try:
            shape, affine = read_grid(path)
        except BadInput as error:
            return [replace(finding, severity="warning") for finding in error.findings]
        on_grid = shape[:3] == self.shape[:3] and np.allclose(
            affine, self.affine, atol=GRID_TOLERANCE_MM
        )
        return (
            []
            if on_grid or path in self.file.aligned_files
            else [checks_header.grid_mismatch(path, shape, self.shape)]
        )
