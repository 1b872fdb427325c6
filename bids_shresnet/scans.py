"""The nouns every room shares: where a scan is (Scan) and what is in it (Dwi, ShImage).

One convention inside: arrays are indexed (x, y, z, volume) with x, y, z closest to right, anterior, superior
(`nibabel.as_closest_canonical`; oblique grids stay oblique), an affine maps voxel indices to RAS+ millimetres,
b-vectors are unit vectors along the *world* axes (not the image's), b-values are in s/mm2, signals are S/S0.
Foreign conventions end in `files/` and in the `to_`/`from_` functions of `diffusion/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

BvecAxes = Literal["fsl", "image"]  # what a .bvec counts along: see inputs/bvec_axes.py
B0_THRESHOLD = 50.0  # s/mm2; scanners write 0, 5, 10 or 0.001 for "no diffusion weighting"


class Tissue(IntEnum):
    """Labels as BIDS gives them to a discrete segmentation ("common image-derived labels")."""

    GM = 1
    WM = 2
    CSF = 3


@dataclass(frozen=True)
class LabelImage:
    """A discrete segmentation (dseg), and which of its labels is which tissue."""

    path: Path
    labels: Mapping[int, Tissue]

    @property
    def files(self) -> tuple[Path, ...]:
        """Its image."""
        return (self.path,)


@dataclass(frozen=True)
class ProbabilityMaps:
    """A probabilistic segmentation (probseg): an image a tissue."""

    paths: Mapping[Tissue, Path]

    @property
    def files(self) -> tuple[Path, ...]:
        """Its images, in the order of `Tissue`."""
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
        As the sidecar spells them; empty where the user named the scanner instead.
    named_by
        What named it: "map", "table", "sidecar" or "regex".
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
        Its files, as found (symbolic links are not followed: annexed data stay annexed).
    entities
        BIDS entities by long name ("subject", "session", ...), values as text, in file-name order.
    metadata
        The sidecars, merged by inheritance.
    scanner
        None where nothing names it.
    bvals
        b-values in s/mm2, one a volume, so that roles can be decided without opening the image.
    mask, segmentation
        Brain mask and tissue segmentation in the scan's space, on any grid, where the input has them.
    bvec_axes
        What the .bvec counts along: FSL's axes or the image's own.
    b_table
        Directions along the world axes (MRtrix's .b), where the input has them; they count then, not the .bvec.
    dataset, dataset_name
        Root of the dataset that holds the image, and what BIDS URIs call it.
    """

    image: Path
    bval: Path
    bvec: Path
    entities: Mapping[str, str]
    metadata: Mapping[str, Any]
    scanner: Scanner | None
    bvals: tuple[float, ...]
    dataset: Path
    mask: Path | None = None
    segmentation: Segmentation | None = None
    dataset_name: str = "raw"
    bvec_axes: BvecAxes = "fsl"
    b_table: Path | None = None

    @property
    def subject(self) -> str:
        """Label without `sub-`."""
        return self.entities["subject"]

    @property
    def session(self) -> str:
        """Label without `ses-`; empty where there are no sessions."""
        return self.entities.get("session", "")

    @property
    def files(self) -> tuple[Path, ...]:
        """All that its signal is read from."""
        return tuple(
            path
            for path in (self.image, self.bval, self.bvec, self.b_table, self.mask)
            if path is not None
        )

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
        """Empty where nothing names the scanner."""
        return self.scanner.label if self.scanner else ""


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
        s/mm2, one a volume.
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
            got = f"{self.bvals.shape} and {self.bvecs.shape}"
            msg = (
                f"{volumes} volumes need {volumes} b-values and ({volumes}, 3) b-vectors, got {got}"
            )
            raise ValueError(msg)
        norms = np.linalg.norm(self.bvecs, axis=1)
        if not np.all(np.isclose(norms, 1, atol=1e-3) | (norms == 0)):
            msg = f"b-vectors must be unit or zero, got norms from {norms.min():.3f} to {norms.max():.3f}"
            raise ValueError(msg)

    @property
    def is_b0(self) -> Bool[np.ndarray, " n"]:
        """Which volumes carry no diffusion weighting."""
        return self.bvals < B0_THRESHOLD

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the grid."""
        return self.data.shape[:3]


@dataclass(frozen=True)
class Shell:
    """The volumes of one b-value, as spherical harmonics up to an even order."""

    bvalue: float  # s/mm2, mean over the shell
    sh_order: int

    @property
    def coefficient_count(self) -> int:
        """(L + 1)(L + 2) / 2 even harmonics."""
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
        In ascending b; their coefficients are stacked in this order.
    contrast
        Natural logarithm of S0 relative to its surroundings, which S/S0 has lost: how much of a voxel is CSF, grey or
        white matter; zero outside the mask.
    """

    coefficients: Float[np.ndarray, "x y z c"]
    mask: Bool[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]
    shells: tuple[Shell, ...]
    contrast: Float[np.ndarray, "x y z"]

    def __post_init__(self) -> None:
        expected = sum(shell.coefficient_count for shell in self.shells)
        if self.coefficients.shape != (*self.mask.shape, expected):
            msg = f"expected coefficients of shape {(*self.mask.shape, expected)}, got {self.coefficients.shape}"
            raise ValueError(msg)

    @property
    def channels(self) -> Float[np.ndarray, "x y z n"]:
        """What a method sees of a voxel: its coefficients and, last, its contrast."""
        return np.concatenate([self.coefficients, self.contrast[..., None]], axis=3)
