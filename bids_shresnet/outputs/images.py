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
from bids_shresnet.settings import OutputType


@dataclass(frozen=True)
class Volume:
    """A map or a mask, (x, y, z), and its affine: voxel indices to RAS+ mm.

    Viewers show values from 0 to `display_max`, unless it is 0.
    """

    values: Shaped[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]
    display_max: float = 0.0


def write_output(image: Path, content: Dwi | Volume, *, scan: Scan, sidecar: Sidecar) -> None:
    """Write an image in the voxel order of a scan and, last, its sidecar.

    Where a sidecar exists, its image and tables are complete.

    Raises
    ------
    ValueError
        If the content is not on the grid of the scan, or has a value that is not finite.
    """
    write_image(image, content, scan=scan)
    write_json(sidecar_path(image), sidecar.to_json(image))


def write_image(
    image: Path, content: Dwi | Volume, *, scan: Scan, output_type: OutputType = "float32"
) -> None:
    """Write an image in the voxel order of a scan, without its sidecar.

    A DWI gets its gradient tables in the scan's own convention. Maps are float32 at all times.

    Raises
    ------
    ValueError
        If the content is not on the grid of the scan, or has a value that is not finite.
    """
    _check_finite(image, content.data if isinstance(content, Dwi) else content.values)
    if isinstance(content, Dwi):
        write_dwi(
            image.with_name(image.name.removesuffix(".nii.gz")),
            content,
            scan.image,
            bvec_axes=scan.bvec_axes,
            has_b_table=scan.b_table is not None,
            output_type=output_type,
        )
    else:
        write_volume(
            image,
            content.values,
            content.affine,
            scan.image,
            display_max=content.display_max,
        )


def _check_finite(image: Path, values: Shaped[np.ndarray, "x y z *n"]) -> None:
    """Raise ValueError if a value is NaN or infinite; a DWI is checked volume by volume."""
    volumes = np.moveaxis(values, -1, 0) if values.ndim == 4 else values[None]
    count = sum(int(np.count_nonzero(~np.isfinite(volume))) for volume in volumes)
    if count:
        msg = f"{image.name}: {count} of {values.size} values are not finite, so it is not written"
        raise ValueError(msg)
