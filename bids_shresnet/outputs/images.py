"""Output images of a scan, each with its JSON sidecar."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from bids_shresnet.io.images.nifti_writing import write_dwi, write_volume
from bids_shresnet.io.storage import write_json
from bids_shresnet.outputs.layout import sidecar_path
from bids_shresnet.outputs.sidecars import Sidecar
from bids_shresnet.scans import Dwi, Scan


@dataclass(frozen=True)
class Volume:
    """A map or a mask, (x, y, z), and its affine: voxel indices to RAS+ mm."""

    values: Shaped[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]


def write_output(image: Path, content: Dwi | Volume, *, scan: Scan, sidecar: Sidecar) -> None:
    """Write an image in the voxel order of a scan and, last, its sidecar.

    A DWI gets its gradient tables in the scan's own convention. Where a sidecar exists, its
    image and tables are complete.

    Raises
    ------
    ValueError
        If the content is not on the grid of the scan.
    """
    if isinstance(content, Dwi):
        write_dwi(
            image.with_name(image.name.removesuffix(".nii.gz")),
            content,
            scan.image,
            bvec_axes=scan.bvec_axes,
            has_b_table=scan.b_table is not None,
        )
    else:
        write_volume(image, content.values, content.affine, scan.image)
    write_json(sidecar_path(image), sidecar.to_json(image))
