"""Harmonizing from Python: load a model, give it a NIfTI image or arrays, get what the app would have written.

>>> from bids_shresnet import harmonize, load_model  # doctest: +SKIP
>>> result = harmonize(load_model("models/from-A_to-B"), "dwi.nii.gz")  # doctest: +SKIP

Arrays are in the voxel order of the image they come from, b-vectors in FSL's convention, as a .bvec holds them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float, Shaped

from bids_shresnet.config import METHODS, Method
from bids_shresnet.diffusion.tensors import TensorMaps, tensor_maps
from bids_shresnet.errors import UsageError
from bids_shresnet.files.fsl import as_written, from_fsl, read_table, to_fsl, unit_directions, write_table
from bids_shresnet.files.models import Model, read_model
from bids_shresnet.files.nifti import image_like
from bids_shresnet.files.storage import atomic_path
from bids_shresnet.files.voxels import VoxelOrder
from bids_shresnet.scans import Dwi, Scan
from bids_shresnet.steps.loading import Loaded, load, with_mask
from bids_shresnet.steps.prediction import method_for
from bids_shresnet.steps.rewrite import Choices, rewrite

__all__ = ["Model", "Result", "harmonize", "harmonize_arrays", "load_model"]

PathLike = str | os.PathLike[str]
TABLE = Path("the b-vectors given")  # what an error names where there is no file


@dataclass(frozen=True)
class Result:
    """A harmonized scan, on the grid and in the voxel order of the scan that was given.

    Attributes
    ----------
    dwi
        Signal as the target scanner would have measured it, (i, j, k, volume), in the scan's own units; b0 volumes and
        all outside the mask are as measured.
    affine
        Voxel indices to RAS+ mm.
    bvals
        s/mm2, one a volume: the target's b-values, since that is what the signal now is.
    bvecs
        FSL's b-vectors, (volume, 3), to the six decimals of a .bvec; zero for b0 volumes.
    mask
        Voxels that were harmonized.
    novelty
        Distance of the scan from what the model was trained on; above 1 the tissue is unlike anything it has seen, 0
        where that cannot be judged.
    uncertainty
        Standard deviation of the predicted S/S0 over the networks; None where one network was asked.
    measured
        How many volumes, from the first, stand for something the scan measured; predicted shells come after them.
    template
        Image whose header `to_nifti` follows.
    """

    dwi: Float[np.ndarray, "i j k n"]
    affine: Float[np.ndarray, "4 4"]
    bvals: Float[np.ndarray, " n"]
    bvecs: Float[np.ndarray, "n 3"]
    mask: Bool[np.ndarray, "i j k"]
    novelty: Float[np.ndarray, "i j k"]
    uncertainty: Float[np.ndarray, "i j k"] | None
    measured: int
    template: Any

    @property
    def fa(self) -> Float[np.ndarray, "i j k"]:
        """Fractional anisotropy of the harmonized scan, 0 to 1, zero outside the mask."""
        return VoxelOrder.of(self.affine).from_canonical(self._maps.fa)

    @property
    def md(self) -> Float[np.ndarray, "i j k"]:
        """Mean diffusivity of the harmonized scan in mm2/s, zero outside the mask."""
        return VoxelOrder.of(self.affine).from_canonical(self._maps.md)

    @cached_property  # a fit of every voxel, done when somebody looks
    def _maps(self) -> TensorMaps:
        first = slice(self.measured)
        dwi = _canonical(self.dwi[..., first], self.affine, self.bvals[first], self.bvecs[first])
        return tensor_maps(dwi, VoxelOrder.of(self.affine).to_canonical(self.mask))

    def to_nifti(self, values: Shaped[np.ndarray, "i j k *n"] | None = None) -> Any:
        """Return the harmonized DWI, or other values on its grid such as `result.fa`, as a nibabel image.

        Placement and timing are those of the scan; nothing else of its header is kept. Masks are uint8, all else
        float32.
        """
        return image_like(self.template, self.dwi if values is None else values)

    def save(self, folder: PathLike, name: str = "harmonized") -> tuple[Path, ...]:
        """Write the DWI with its tables and every map, and return their paths.

        They are `<name>_dwi` (.nii.gz, .bval, .bvec), `<name>_mask`, `_fa`, `_md`, `_novelty` and, where there is one,
        `_uncertainty` (.nii.gz). The folder is made if need be, and files of these names are replaced.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        tables = place / f"{name}_dwi.bval", place / f"{name}_dwi.bvec"
        write_table(*tables, self.bvals, self.bvecs)
        maps = {"mask": self.mask, "fa": self.fa, "md": self.md, "novelty": self.novelty}
        if self.uncertainty is not None:
            maps["uncertainty"] = self.uncertainty
        images = {place / f"{name}_{kind}.nii.gz": values for kind, values in {**maps, "dwi": self.dwi}.items()}
        for path, values in images.items():
            with atomic_path(path) as temporary:
                nib.save(self.to_nifti(values), temporary)
        return (*tables, *images)


def load_model(folder: PathLike) -> Model:
    """Load a model folder, `models/from-<source>_to-<target>` of a finished run.

    Raises
    ------
    InputMissing
        If it holds no complete model.
    BadInput
        If a network is missing or is not the one that model.json names.
    """
    return read_model(Path(folder))


def harmonize(
    model: Model,
    image: PathLike,
    *,
    bval: PathLike | None = None,
    bvec: PathLike | None = None,
    mask: PathLike | None = None,
    subject: str | None = None,
    method: Method | None = None,
    output_directions: Literal["source", "target"] = "source",
    abstain: bool = False,
    predict_missing_shells: bool = False,
    device: str = "cpu",
) -> Result:
    """Harmonize a DWI in NIfTI format; nothing is written.

    Parameters
    ----------
    image
        The DWI of the model's source scanner.
    bval
        b-values in FSL's format; by default the file of the same name beside the image.
    bvec
        b-vectors, likewise.
    mask
        Brain mask in the scan's space, on any grid; by default made from the b0 volumes.
    subject
        Label (without `sub-`) of a travelling subject of the model. The network that never saw it is used then; for
        anybody else leave it out, and the mean of all networks is taken.
    method
        How what the model has learned is applied; by default as its proof has it.
    output_directions
        Gradient table of the result: the scan's own, or the target's.
    abstain
        Leave voxels as they were that are unlike anything in the training data.
    predict_missing_shells
        Add the shells that the target has and the source lacks, if the model was trained to.
    device
        Where networks run: "cpu", "cuda" or "cuda:N".

    Raises
    ------
    InputMissing
        If a file does not exist.
    BadInput
        If a file is damaged or they do not match.
    UsageError
        If the model cannot do what is asked.
    ValueError
        If the scan lacks a shell of the model.
    """
    path = Path(image)
    stem = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii"))
    tables = Path(bval or f"{stem}.bval"), Path(bvec or f"{stem}.bvec")
    scan = Scan(
        image=path,
        bval=tables[0],
        bvec=tables[1],
        entities={},
        metadata={},
        scanner=None,
        bvals=tuple(read_table(*tables)[0].tolist()),
        dataset=path.parent,
        mask=None if mask is None else Path(mask),
    )
    choices = _choices(model, method, device, output_directions, abstain, predict_missing_shells)
    return _harmonized(model, load(scan), subject, choices, nib.load(path))


def harmonize_arrays(
    model: Model,
    data: Shaped[np.ndarray, "i j k n"],
    affine: Float[np.ndarray, "4 4"],
    bvals: Shaped[np.ndarray, " n"],
    bvecs: Float[np.ndarray, "m 3"],
    *,
    mask: Shaped[np.ndarray, "i j k"] | None = None,
    subject: str | None = None,
    method: Method | None = None,
    output_directions: Literal["source", "target"] = "source",
    abstain: bool = False,
    predict_missing_shells: bool = False,
    device: str = "cpu",
) -> Result:
    """Harmonize arrays as nibabel and `numpy.loadtxt` give them; otherwise as `harmonize`.

    Parameters
    ----------
    data
        Signal in the scanner's units, in any voxel order.
    affine
        Voxel indices of `data` to RAS+ mm.
    bvals
        s/mm2, one a volume.
    bvecs
        FSL's b-vectors of an image with this affine, one a row.
    mask
        Brain, on the grid of `data`; by default made from the b0 volumes.

    Raises
    ------
    BadInput
        If the tables do not match, or a weighted volume has no direction.
    UsageError
        If the model cannot do what is asked.
    ValueError
        If the arrays do not match, or the scan lacks a shell of the model.
    """
    dwi = _canonical(data.astype(np.float32, copy=False), affine, np.asarray(bvals, float), np.asarray(bvecs, float))
    order = VoxelOrder.of(affine)
    loaded = with_mask(dwi, None if mask is None else order.to_canonical(np.asarray(mask) > 0))
    choices = _choices(model, method, device, output_directions, abstain, predict_missing_shells)
    return _harmonized(model, loaded, subject, choices, nib.Nifti1Image(data.astype(np.float32, copy=False), affine))


def _harmonized(model: Model, loaded: Loaded, subject: str | None, choices: Choices, template: Any) -> Result:
    """The one way on which both forms meet."""
    if subject is not None and subject not in model.card["Subjects"]:
        msg = f"subject {subject} is none of the model's travelling subjects ({', '.join(model.card['Subjects'])})"
        raise UsageError(msg)
    rewritten = rewrite(loaded, model, model.folds_for(subject), choices)
    order, result = VoxelOrder.of(np.asarray(template.affine, float)), rewritten.result
    bvals, bvecs = as_written(rewritten.dwi.bvals, to_fsl(rewritten.dwi.bvecs, order.affine))
    spread = result.uncertainty
    return Result(
        dwi=order.from_canonical(rewritten.dwi.data),
        affine=order.affine,
        bvals=bvals,
        bvecs=bvecs,
        mask=order.from_canonical(loaded.mask),
        novelty=order.from_canonical(result.novelty),
        uncertainty=None if spread is None else order.from_canonical(spread),
        measured=rewritten.measured,
        template=template,
    )


def _choices(
    model: Model, method: Method | None, device: str, directions: Literal["source", "target"], abstain: bool, more: bool
) -> Choices:
    """What is asked for, if the model can do it."""
    if method is not None and (method not in METHODS or method_for(model, method) != method):
        msg = f"method {method}: the model {model.name} has learned {model.card['FittedAs']} and cannot be applied so"
        raise UsageError(msg)
    if more and not model.missing_shells:
        msg = f"the model {model.name} was not trained to predict shells that its source lacks"
        raise UsageError(msg)
    return Choices(method or model.card["Method"], device, directions, abstain, more)


def _canonical(
    data: Float[np.ndarray, "i j k n"],
    affine: Float[np.ndarray, "4 4"],
    bvals: Float[np.ndarray, " n"],
    bvecs: Float[np.ndarray, "m 3"],
) -> Dwi:
    """Arrays of a file as a DWI in canonical order with b-vectors along the world axes."""
    order = VoxelOrder.of(affine)
    world = from_fsl(unit_directions(TABLE, bvecs, bvals), affine)
    return Dwi(order.to_canonical(data), order.canonical_affine(data.shape), bvals, world)
