"""The masks and segmentations that can be used for a scan."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.io.images.nifti import GRID_TOLERANCE_MM
from bids_shresnet.io.images.nifti_header import read_grid
from bids_shresnet.planning.checks.headers import grid_mismatch
from bids_shresnet.regions import Parcellation, Regions

Candidate = TypeVar("Candidate")


@dataclass
class ImageMatcher:
    """Finds masks and segmentations in a scan's space.

    They are on its grid, or on another one and in its space by their names.

    Attributes
    ----------
    file
        The DWI file.
    shape, affine
        Its grid; the affine maps voxel indices to RAS+ mm.
    findings
        Warnings about images that cannot be used, where no other one could.
    """

    file: DwiFile
    shape: tuple[int, ...]
    affine: Float[np.ndarray, "4 4"]
    findings: list[Finding] = field(default_factory=list)

    def find_first(
        self, candidates: Iterable[Candidate], files: Callable[[Candidate], Iterable[Path]]
    ) -> Candidate | None:
        """Return the first candidate whose files can all be used."""
        findings: list[Finding] = []
        for candidate in candidates:
            problems = self._find_problems(files(candidate))
            if not problems:
                return candidate
            findings += problems
        self.findings += findings
        return None

    def find_all(self, candidates: Iterable[Regions]) -> tuple[Regions, ...]:
        """Return the sets of regions whose files can all be used.

        A parcellation that cannot be used is warned about, if no other set can be used.
        """
        all_regions = tuple(candidates)
        usable = tuple(item for item in all_regions if not self._find_problems(item.files))
        if not usable:
            parcellations = (item for item in all_regions if isinstance(item, Parcellation))
            self.find_first(parcellations, lambda item: item.files)
        return usable

    def _find_problems(self, paths: Iterable[Path]) -> list[Finding]:
        return [problem for path in paths for problem in self._check_grid(path)]

    def _check_grid(self, path: Path) -> list[Finding]:
        """Find out why an image cannot be used."""
        try:
            shape, affine = read_grid(path)
        except BadInput as error:
            return [replace(finding, severity="warning") for finding in error.findings]
        has_shape = shape[:3] == self.shape[:3]
        is_on_grid = has_shape and np.allclose(affine, self.affine, atol=GRID_TOLERANCE_MM)
        if is_on_grid or path in self.file.aligned_files:
            return []
        return [grid_mismatch(path, shape, self.shape)]
