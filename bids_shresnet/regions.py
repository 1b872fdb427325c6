"""Sets of regions, such as an atlas or bundles, in which FA and MD are averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

UNNAMED_REGIONS = "regions"  # label of a set whose file names have none


@dataclass(frozen=True)
class Parcellation:
    """A discrete segmentation (dseg) of regions, such as tracts.

    Attributes
    ----------
    names
        Names of the regions by their number in the image.
    label
        Letters and digits that tell it from other sets of regions, from its file name.
    """

    path: Path
    names: Mapping[int, str]
    label: str = UNNAMED_REGIONS

    @property
    def files(self) -> tuple[Path, ...]:
        """The image."""
        return (self.path,)


@dataclass(frozen=True)
class RegionMaps:
    """Masks or probability maps (probseg) of regions that may overlap, such as bundles.

    Attributes
    ----------
    paths
        Images by the names of the regions.
    label
        Letters and digits that tell it from other sets of regions, from their file names.
    """

    paths: Mapping[str, Path]
    label: str = UNNAMED_REGIONS

    @property
    def files(self) -> tuple[Path, ...]:
        """The images, in the order of the names."""
        return tuple(path for _, path in sorted(self.paths.items()))


Regions = Parcellation | RegionMaps
