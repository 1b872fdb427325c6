#!/usr/bin/env python3
"""Make docs/images/before-after.png from three FA pictures of a subject's report.

    scripts/readme_figure.py INPUT.png HARMONIZED.png TARGET.png

The pictures are in `sub-<label>/figures` of an output: `desc-faInput`, `desc-faHarmonized` and
`desc-faTarget`. README.md shows those of one of four simulated travelling heads with real anatomy
(2.4 mm voxels), harmonized with default settings.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.image import imread

TITLES = ("Source scanner", "Harmonized", "Target scanner")
# Pixels of a report's picture: the middle slice of the first row, and the one below it
AXIAL_TILE = (slice(50, 288), slice(640, 856))
CORONAL_TILE = (slice(304, 484), slice(640, 856))
IMAGE = Path(__file__).resolve().parent.parent / "docs/images/before-after.png"


def main(paths: list[Path]) -> None:
    """Lay the middle slices of three pictures side by side, and write the image."""
    figure, axes = plt.subplots(
        2, 3, figsize=(7.5, 5.6), height_ratios=(238, 180), facecolor="black"
    )
    for column, (path, title) in enumerate(zip(paths, TITLES, strict=True)):
        picture = imread(path)
        for row, tile in enumerate((AXIAL_TILE, CORONAL_TILE)):
            axes[row, column].imshow(picture[tile])
            axes[row, column].set_axis_off()
        axes[0, column].set_title(title, color="white")
    figure.subplots_adjust(left=0.01, right=0.99, top=0.93, bottom=0.01, wspace=0.02, hspace=0.02)
    figure.savefig(IMAGE, dpi=120)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
