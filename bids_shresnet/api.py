"""Harmonizing from Python: load a model, give it a NIfTI image or arrays, get a harmonized image.

>>> from bids_shresnet import harmonize, load_model  # doctest: +SKIP
>>> harmonized = harmonize(load_model("models/from-A_to-B"), "dwi.nii.gz")  # doctest: +SKIP

Arrays are in the voxel order of the image they come from, b-vectors in FSL's convention, as in a
.bvec file.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float, Shaped

from bids_shresnet.diffusion.represent import represent_source
from bids_shresnet.diffusion.representation import find_represented_volumes
from bids_shresnet.errors import BadInput, InputMissing, UsageError
from bids_shresnet.harmonization.apply_model import apply_model
from bids_shresnet.harmonization.harmonized_image import (
    HarmonizedImage,
    PathLike,
    dwi_from_arrays,
)
from bids_shresnet.harmonization.harmonized_scan import HarmonizedScan
from bids_shresnet.harmonization.options import HarmonizeOptions, check_options
from bids_shresnet.inputs.load_scan import (
    LoadedScan,
    add_mask_and_s0,
    describe_image,
    load_scan,
)
from bids_shresnet.inputs.scanner_labels import model_and_serial
from bids_shresnet.io.images.voxel_order import VoxelOrder
from bids_shresnet.io.storage import NOT_AVAILABLE, read_json
from bids_shresnet.network.devices import select_device
from bids_shresnet.outputs.json_records import to_json
from bids_shresnet.outputs.model.folder import Model, read_model
from bids_shresnet.outputs.sidecars import package_versions
from bids_shresnet.runtime.progress import progress_bar

__all__ = [
    "BadInput",
    "HarmonizeOptions",
    "HarmonizedImage",
    "InputMissing",
    "Model",
    "UsageError",
    "harmonize",
    "harmonize_arrays",
    "harmonize_files",
    "load_model",
]

DEFAULT_OPTIONS = HarmonizeOptions()


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
    options: HarmonizeOptions = DEFAULT_OPTIONS,
) -> HarmonizedImage:
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
        Brain mask in the scan's space, on any grid; by default computed from the b0 volumes.
    subject
        Label (without `sub-`) of a travelling subject of the model, which is then harmonized by
        the network that held this subject out. Leave it out for anybody else, who is harmonized by
        the network that was trained on all of them.
    options
        How the model is applied.

    Raises
    ------
    InputMissing
        If a file does not exist.
    BadInput
        If a file is damaged or the files do not match.
    UsageError
        If the model cannot do what the options ask for.
    ValueError
        If the scan lacks a shell of the model.
    """
    path = Path(image)
    if not path.is_file():
        msg = f"{path} does not exist"
        raise InputMissing(msg)
    _warn_if_other_scanner(path, model)
    scan = describe_image(
        path,
        bval=Path(bval) if bval else None,
        bvec=Path(bvec) if bvec else None,
        mask=None if mask is None else Path(mask),
    )
    return _harmonize_scan(
        model,
        load_scan(scan),
        subject=subject,
        options=options,
        reference=nib.load(path),
        source_name=path.name,
    )


def harmonize_files(
    model: Model,
    images: Sequence[PathLike],
    folder: PathLike,
    *,
    options: HarmonizeOptions = DEFAULT_OPTIONS,
) -> list[Path]:
    """Harmonize several DWI of people who did not travel, and save them, with a progress bar.

    A file that exists already is not made again. The app runs several scans at a time.

    Parameters
    ----------
    images
        DWI as for `harmonize`, with tables and sidecars beside them and different names.
    folder
        Where the files are written; their names begin with those of the images, without `_dwi`.

    Returns
    -------
    The harmonized DWI, in the order of the images.

    Raises
    ------
    UsageError
        If two images have the same name.
    """
    stems = {Path(image): _output_stem(Path(image)) for image in images}
    if len(set(stems.values())) < len(images):
        msg = "two images have the same name: harmonize them into different folders"
        raise UsageError(msg)
    with progress_bar(len(stems), "harmonize", "scan") as progress:
        for image, stem in stems.items():
            if not (Path(folder) / f"{stem}_dwi.json").exists():  # it is written last
                harmonize(model, image, options=options).save(folder, stem)
            progress.update()
    return [Path(folder) / f"{stem}_dwi.nii.gz" for stem in stems.values()]


def _output_stem(image: Path) -> str:
    return f"{image.name.partition('.nii')[0].removesuffix('_dwi')}_harmonized"


def _warn_if_other_scanner(image: Path, model: Model) -> None:
    """Warn if the sidecar beside an image names another scanner than the model's source."""
    sidecar = image.with_name(f"{image.name.partition('.nii')[0]}.json")
    if not sidecar.is_file():
        return
    name, serial = model_and_serial(read_json(sidecar))
    source = model.card.source_scanner
    if serial and source.device_serial_number not in ("", serial):
        warnings.warn(
            f"{image.name} is from {name} {serial}, and the model was trained on "
            f"{source.manufacturers_model_name} {source.device_serial_number}",
            stacklevel=3,
        )


def harmonize_arrays(
    model: Model,
    data: Shaped[np.ndarray, "i j k n"],
    affine: Float[np.ndarray, "4 4"],
    bvals: Shaped[np.ndarray, " n"],
    bvecs: Float[np.ndarray, "m 3"],
    *,
    mask: Shaped[np.ndarray, "i j k"] | None = None,
    subject: str | None = None,
    options: HarmonizeOptions = DEFAULT_OPTIONS,
) -> HarmonizedImage:
    """Harmonize arrays as nibabel and `numpy.loadtxt` return them.

    Parameters
    ----------
    data
        Signal in the scanner's units, in any voxel order.
    affine
        Voxel indices of `data` to RAS+ mm.
    bvals
        s/mm2, one per volume.
    bvecs
        FSL's b-vectors of an image with this affine, one per row.
    mask
        Brain, on the grid of `data`; by default computed from the b0 volumes.
    subject, options
        As for `harmonize`.

    Raises
    ------
    BadInput
        If the tables do not match, or a weighted volume has no direction.
    UsageError
        If the model cannot do what the options ask for.
    ValueError
        If the arrays do not match, or the scan lacks a shell of the model.
    """
    signal = data.astype(np.float32, copy=False)
    dwi = dwi_from_arrays(signal, affine, np.asarray(bvals, float), np.asarray(bvecs, float))
    brain_mask = None
    if mask is not None:
        brain_mask = VoxelOrder.from_affine(affine).to_canonical(np.asarray(mask) > 0)
    return _harmonize_scan(
        model,
        add_mask_and_s0(dwi, brain_mask),
        subject=subject,
        options=options,
        reference=nib.Nifti1Image(signal, affine),
    )


def _harmonize_scan(
    model: Model,
    scan: LoadedScan,
    *,
    subject: str | None,
    options: HarmonizeOptions,
    reference: Any,
    source_name: str = "",
) -> HarmonizedImage:
    """Apply a model to a scan in memory, for both public functions."""
    _check_subject(model, subject)
    check_options(options, model)
    options = replace(options, device=select_device(options.device))
    representation = represent_source(scan.dwi, scan.mask, model.source_shells)
    fit = model.fit_for(subject)
    harmonized = apply_model(scan, representation, model=model, fit=fit, options=options)
    record = {
        "Source": source_name or "arrays",
        "HeldOutSubject": subject or NOT_AVAILABLE,
        **_describe_result(harmonized, model, fit.weights.file),
        "Options": to_json(options),
    }
    volumes = find_represented_volumes(scan.dwi, representation)
    return HarmonizedImage(harmonized, reference, scan, volumes, record)


def _check_subject(model: Model, subject: str | None) -> None:
    subjects = model.card.subjects
    if subject is not None and subject not in subjects:
        msg = (
            f"subject {subject} is none of the model's travelling subjects "
            f"({', '.join(subjects)}). Leave the subject out."
        )
        raise UsageError(msg)


def _describe_result(harmonized: HarmonizedScan, model: Model, network: str) -> dict[str, Any]:
    """Return what the record of a harmonized image says of the model and the result."""
    bvalues = zip(model.source_shells, model.target_bvalues, strict=True)
    return {
        "Description": f"DWI as the scanner {model.target} would have measured it.",
        "Model": model.name,
        "ModelSHA256": model.digest,
        "Method": harmonized.method,
        "Network": network,
        "SourceScanner": to_json(model.card.source_scanner),
        "TargetScanner": to_json(model.card.target_scanner),
        "BValues": {f"{shell.bvalue:g}": target for shell, target in bvalues},
        "NovelFraction": round(harmonized.novel_fraction, 6),
        "Versions": package_versions(),
    }
