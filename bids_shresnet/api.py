"""Harmonizing from Python: load a model, give it a NIfTI image or arrays, get what the app would have written.

>>> from bids_shresnet import harmonize, load_model  # doctest: +SKIP
>>> result = harmonize(load_model("models/from-A_to-B"), "dwi.nii.gz")  # doctest: +SKIP

Arrays are in the voxel order of the image they come from, b-vectors in FSL's convention, as a .bvec holds them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from jaxtyping import Float, Shaped

from bids_shresnet.errors import UsageError
from bids_shresnet.harmonization.apply_model import HarmonizeOptions, apply_model
from bids_shresnet.harmonization.predict import applicable_method
from bids_shresnet.harmonization.result import PathLike, Result, dwi_from_arrays
from bids_shresnet.inputs.load_scan import LoadedScan, add_mask_and_s0, load_scan
from bids_shresnet.io.fsl import read_fsl_table, round_gradient_table, to_fsl
from bids_shresnet.io.voxel_order import VoxelOrder
from bids_shresnet.outputs.model_folder import Model, read_model
from bids_shresnet.scans import Scan
from bids_shresnet.settings import METHODS, Method

__all__ = ["Model", "Result", "harmonize", "harmonize_arrays", "load_model"]


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
        Label (without `sub-`) of a travelling subject of the model. The network that held it out is used then; for
        anybody else leave it out, and the mean of all networks is taken.
    method
        How what the model has learned is applied; by default as it was cross-validated.
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
        bvals=tuple(read_fsl_table(*tables)[0].tolist()),
        dataset=path.parent,
        mask=None if mask is None else Path(mask),
    )
    choices = _make_options(
        model, method, device, output_directions, abstain, predict_missing_shells
    )
    return _harmonize_dwi(model, load_scan(scan), subject, choices, nib.load(path))


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
    signal = data.astype(np.float32, copy=False)
    dwi = dwi_from_arrays(signal, affine, np.asarray(bvals, float), np.asarray(bvecs, float))
    brain = (
        None if mask is None else VoxelOrder.from_affine(affine).to_canonical(np.asarray(mask) > 0)
    )
    choices = _make_options(
        model, method, device, output_directions, abstain, predict_missing_shells
    )
    return _harmonize_dwi(
        model, add_mask_and_s0(dwi, brain), subject, choices, nib.Nifti1Image(signal, affine)
    )


def _harmonize_dwi(
    model: Model, loaded: LoadedScan, subject: str | None, options: HarmonizeOptions, template: Any
) -> Result:
    """The one way on which both forms meet."""
    if subject is not None and subject not in model.card["Subjects"]:
        msg = f"subject {subject} is none of the model's travelling subjects ({', '.join(model.card['Subjects'])})"
        raise UsageError(msg)
    rewritten = apply_model(loaded, model, model.folds_for(subject), options)
    order, result = VoxelOrder.from_affine(np.asarray(template.affine, float)), rewritten.prediction
    bvals, bvecs = round_gradient_table(
        rewritten.dwi.bvals, to_fsl(rewritten.dwi.bvecs, order.affine)
    )
    spread = result.uncertainty
    return Result(
        dwi=order.from_canonical(rewritten.dwi.data),
        affine=order.affine,
        bvals=bvals,
        bvecs=bvecs,
        mask=order.from_canonical(loaded.mask),
        novelty=order.from_canonical(result.novelty),
        uncertainty=None if spread is None else order.from_canonical(spread),
        measured_volume_count=rewritten.measured_volume_count,
        reference_image=template,
    )


def _make_options(
    model: Model,
    method: Method | None,
    device: str,
    output_directions: Literal["source", "target"],
    abstain: bool,
    predict_missing_shells: bool,
) -> HarmonizeOptions:
    """What is asked for, if the model can do it."""
    if method is not None and (method not in METHODS or applicable_method(model, method) != method):
        msg = f"method {method}: the model {model.name} has learned {model.card['FittedAs']} and cannot be applied so"
        raise UsageError(msg)
    if predict_missing_shells and not model.missing_shells:
        msg = f"the model {model.name} was not trained to predict shells that its source lacks"
        raise UsageError(msg)
    return HarmonizeOptions(
        method or model.card["Method"], device, output_directions, abstain, predict_missing_shells
    )
