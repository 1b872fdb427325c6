"""The types that all packages share: a scan on disk (Scan) and in memory (Dwi, ShImage).

All packages use one convention. Arrays are indexed (x, y, z, volume) with x, y, z closest to right,
anterior, superior (`nibabel.as_closest_canonical`; oblique grids stay oblique). An affine maps
voxel indices to RAS+ mm. b-vectors are unit vectors along the *world* axes (not the image's),
b-values are in s/mm2, signals are S/S0. Other conventions of files are converted by `io/` and
`inputs/`, those of libraries by the `to_` and `from_` functions of `diffusion/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.regions import Parcellation, Regions

BvecAxes = Literal["fsl", "image"]  # the axes of a .bvec: see inputs/bvec_axes.py
MaskMethod = Literal["given", "computed"]
Denoised = Literal["yes", "no", "unknown"]
B0_THRESHOLD = 50.0  # s/mm2; scanners write 0, 5, 10 or 0.001 for "no diffusion weighting"


class Tissue(IntEnum):
    """BIDS labels of discrete segmentations ("common image-derived labels")."""

    GM = 1
    WM = 2
    CSF = 3


@dataclass(frozen=True)
class LabelImage:
    """A discrete segmentation (dseg) and the tissue of each label."""

    path: Path
    labels: Mapping[int, Tissue]

    @property
    def files(self) -> tuple[Path, ...]:
        """The image."""
        return (self.path,)


@dataclass(frozen=True)
class ProbabilityMaps:
    """A probabilistic segmentation (probseg): one image per tissue."""

    paths: Mapping[Tissue, Path]

    @property
    def files(self) -> tuple[Path, ...]:
        """The images, in the order of `Tissue`."""
        return tuple(path for _, path in sorted(self.paths.items()))


Segmentation = LabelImage | ProbabilityMaps


@dataclass(frozen=True)
class Scanner:
    """One physical machine.

    Attributes
    ----------
    label
        Letters and digits only; names the scanner in flags, folders and sidecars.
    manufacturer, model, serial
        As the sidecar spells them; empty if the user has named the scanner.
    named_by
        Source of the name: "map", "table", "sidecar" or "regex".
    """

    label: str
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    named_by: str = "sidecar"

    def __post_init__(self) -> None:
        if not self.label.isalnum() or not self.label.isascii():
            msg = f"a scanner label is letters and digits only, got {self.label!r}"
            raise ValueError(msg)


@dataclass(frozen=True)
class Scan:
    """One DWI series on disk.

    Attributes
    ----------
    image, bval, bvec
        Paths of the files. Symbolic links are not followed: annexed data stay annexed.
    entities
        BIDS entities by long name ("subject", "session", ...), values as text, in file-name order.
    metadata
        Sidecars, merged by inheritance.
    scanner
        None if nothing names it.
    bvals
        b-values in s/mm2, one per volume, so that pairs can be planned without opening the image.
    axis_numbers
        Number of the axis of each volume, alike for repeated and opposite directions; may be empty.
    mask, segmentation, regions
        Brain mask, tissues and sets of regions in the scan's space, on any grid, if any.
    bvec_axes, b_table
        Axes of the .bvec (FSL's or the image's own), and the .b of MRtrix that is used instead.
    dataset, dataset_name, acquired
        Root of the image's dataset, its name in BIDS URIs, and when the scan was measured, if the
        dataset says so (dates may be shifted).
    """

    image: Path
    bval: Path
    bvec: Path
    entities: Mapping[str, str]
    metadata: Mapping[str, Any]
    scanner: Scanner | None
    bvals: tuple[float, ...]
    dataset: Path
    axis_numbers: tuple[int, ...] = ()
    mask: Path | None = None
    segmentation: Segmentation | None = None
    regions: tuple[Regions, ...] = ()
    dataset_name: str = "raw"
    bvec_axes: BvecAxes = "fsl"
    b_table: Path | None = None
    acquired: datetime | None = None

    @property
    def subject(self) -> str:
        """Subject label without `sub-`."""
        return self.entities["subject"]

    @property
    def session(self) -> str:
        """Session label without `ses-`; empty without sessions."""
        return self.entities.get("session", "")

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the signal depends on."""
        paths = (self.image, self.bval, self.bvec, self.b_table, self.mask)
        return tuple(path for path in paths if path)

    @property
    def parcellation(self) -> Parcellation | None:
        """The first parcellation, in which models are evaluated."""
        return next((item for item in self.regions if isinstance(item, Parcellation)), None)

    @property
    def name(self) -> str:
        """File name without suffix and extension, e.g. `sub-01_ses-ge_acq-b1200`."""
        return self.image.name.split(".")[0].rsplit("_", 1)[0]

    @property
    def direction_count(self) -> int:
        """Number of diffusion-weighted volumes."""
        return sum(b >= B0_THRESHOLD for b in self.bvals)

    @property
    def scanner_label(self) -> str:
        """Label of the scanner; empty if nothing names it."""
        return self.scanner.label if self.scanner else ""


@dataclass(frozen=True, kw_only=True)
class Acquisition:
    """Properties of a scan, besides its gradients, that its sharpness and noise depend on.

    Attributes
    ----------
    voxel_size
        In mm, along the axes closest to right, anterior and superior.
    echo_time
        In s; None if the sidecar does not say.
    b0_count
        Number of volumes without diffusion weighting.
    mask_method
        Whether the brain mask is the input's, or computed from S0.
    denoised
        Whether noise was removed before.
    """

    voxel_size: tuple[float, ...]
    echo_time: float | None = None
    b0_count: int
    mask_method: MaskMethod
    denoised: Denoised


@dataclass(frozen=True)
class Dwi:
    """A DWI series in memory.

    Attributes
    ----------
    data
        Signal in the scanner's units, (x, y, z, volume).
    affine
        Voxel indices to RAS+ mm, 4 x 4.
    bvals
        b-values in s/mm2, one per volume.
    bvecs
        Unit vectors along the world axes, (volume, 3); zero for b0 volumes.
    """

    data: Float[np.ndarray, "x y z n"]
    affine: Float[np.ndarray, "4 4"]
    bvals: Float[np.ndarray, " n"]
    bvecs: Float[np.ndarray, "n 3"]

    def __post_init__(self) -> None:
        volumes = self.data.shape[3]
        if self.bvals.shape != (volumes,) or self.bvecs.shape != (volumes, 3):
            shapes = f"{self.bvals.shape} and {self.bvecs.shape}"
            msg = f"{volumes} volumes need as many b-values and b-vectors, got {shapes}"
            raise ValueError(msg)
        norms = np.linalg.norm(self.bvecs, axis=1)
        if not np.all(np.isclose(norms, 1, atol=1e-3) | (norms == 0)):
            msg = f"b-vectors must be unit or zero, not {norms.min():.3f} to {norms.max():.3f} long"
            raise ValueError(msg)

    @property
    def is_b0(self) -> Bool[np.ndarray, " n"]:
        """Volumes without diffusion weighting."""
        return self.bvals < B0_THRESHOLD

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the grid."""
        return self.data.shape[:3]


@dataclass(frozen=True)
class Shell:
    """The volumes of one b-value, as spherical harmonics up to an even order.

    Attributes
    ----------
    bvalue
        Mean over the shell, s/mm2.
    direction_count
        Number of directions that the smoothing of the fit is made for; 0 is the scan's own.
    """

    bvalue: float
    sh_order: int
    direction_count: int = 0

    @property
    def coefficient_count(self) -> int:
        """Number of even harmonics, (L + 1)(L + 2) / 2."""
        return (self.sh_order + 1) * (self.sh_order + 2) // 2


@dataclass(frozen=True)
class ShImage:
    """S/S0 of a scan as spherical-harmonic coefficients, shell after shell.

    Attributes
    ----------
    coefficients
        (x, y, z, coefficient); zero outside the mask. Basis: `real_sh_descoteaux`, legacy=False.
    mask
        Brain, (x, y, z).
    affine
        Voxel indices to RAS+ mm.
    shells
        Shells in ascending b; their coefficients are stacked in this order.
    contrast
        Logarithm of S0 relative to its surroundings, zero outside the mask: it shows tissues.
    order_2_power
        Power (RISH) of order 2 of each shell without that of noise; NaN outside grey and white
        matter and where the noise is not known. None if it was not measured.
    """

    coefficients: Float[np.ndarray, "x y z c"]
    mask: Bool[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]
    shells: tuple[Shell, ...]
    contrast: Float[np.ndarray, "x y z"]
    order_2_power: Float[np.ndarray, "x y z s"] | None = None

    def __post_init__(self) -> None:
        expected = (*self.mask.shape, sum(shell.coefficient_count for shell in self.shells))
        if self.coefficients.shape != expected:
            msg = f"expected coefficients of shape {expected}, got {self.coefficients.shape}"
            raise ValueError(msg)

    @property
    def channels(self) -> Float[np.ndarray, "x y z n"]:
        """Input of the methods: coefficients, then contrast."""
        return np.concatenate([self.coefficients, self.contrast[..., None]], axis=3)
