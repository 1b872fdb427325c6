"""Heads whose target scanner scales each order, and jobs that evaluate methods on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.harmonics import evaluation_matrix
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tensors import fit_relative_tensor
from bids_shresnet.evaluation.evaluate import EvaluationResults, evaluate_fold, read_results
from bids_shresnet.evaluation.jobs import EvaluateJob
from bids_shresnet.evaluation.results import HeldOutResult
from bids_shresnet.io.gradients.fsl import write_fsl_table
from bids_shresnet.io.gradients.gradient_axes import to_fsl
from bids_shresnet.io.safetensors import serialize_arrays
from bids_shresnet.io.storage import write_bytes
from bids_shresnet.methods.harmonizer import Harmonizer
from bids_shresnet.methods.linear import OrderGain, PatchLinear
from bids_shresnet.pairs import Split, TravellingSubject, UnharmonizedData
from bids_shresnet.scans import Scan, ShImage, Tissue
from bids_shresnet.settings import Method
from bids_shresnet.training.travelling_subjects import write_travelling_subject
from tests.datasets import spiral
from tests.factories import make_scan
from tests.methods.heads import GAINS, GRID, SHELLS, head, mask_patches, scaled, travelling

SPLIT = Split(training=("02", "03"), validation=("04",), test=("01",))
SEEDS = {"01": 1, "02": 2, "03": 3, "04": 4}  # of the heads, by subject
FA_SCALE = 1.2  # of the target's FA for ComBat over the source's
FA_SHIFT = 0.02
NO_OFFSET = np.zeros(6, np.float32)
CENTRE = 13  # of a patch of 27 voxels


def fa_and_md(
    signal: Float[np.ndarray, "v d"], subject: TravellingSubject
) -> Float[np.ndarray, "v 2"]:
    """FA and MD of a signal in the target's directions."""
    fit = fit_relative_tensor(signal, subject.matched.bvals, subject.matched.bvecs)
    return np.stack([fit.fa, fit.md], axis=1)


def scaled_head(
    seed: int, *, sigma: float = 0.0, strength: float = 1.0, grid: tuple[int, int, int] = GRID
) -> TravellingSubject:
    """Head whose target scales the orders; its white matter is where one direction dominates.

    FA and MD of both scanners are those of their signals, whose S0 has no noise: it is that of very
    many b0 volumes.
    """
    image = head(seed, grid)
    image.coefficients[..., 1:] *= strength * (1 + 0.1 * seed)
    subject = travelling(image, 15, change=scaled, sigma=sigma)
    matrix = subject.matched.sh_matrix
    target_signal = scaled(mask_patches(image)[..., :6]) @ matrix.T
    is_white = fa_and_md(target_signal, subject)[:, 0] > 0.3
    coefficients = image.coefficients[image.mask]
    source_maps = fa_and_md(coefficients @ matrix.T, subject)
    target_maps = fa_and_md(subject.matched.signal.astype(np.float32), subject)
    tissue = np.where(is_white, Tissue.WM, Tissue.GM).astype(np.uint8)
    return replace(
        subject,
        matched=replace(subject.matched, tissue=tissue),
        unharmonized=UnharmonizedData(
            coefficients,
            unmask(source_maps, image.mask),
            target_maps,
            np.repeat([0.0, 1000.0], [10_000, 15]),
        ),
    )


def scaled_heads(**changes: Any) -> dict[str, TravellingSubject]:
    """One head per subject of the split."""
    return {label: scaled_head(seed, **changes) for label, seed in SEEDS.items()}


def with_linear_maps(subject: TravellingSubject) -> TravellingSubject:
    """The same head with FA and MD of the target on a line of those of the source, for ComBat."""
    maps = FA_SCALE * subject.unharmonized.source_maps[subject.source.mask] + [FA_SHIFT, 0]
    target_maps = maps.astype(np.float32)
    return replace(subject, unharmonized=replace(subject.unharmonized, target_maps=target_maps))


def write_source(folder: Path, image: ShImage, directions: int = 15, sigma: float = 0.0) -> Scan:
    """Write the source scan of a head with S0 = 1000 in the mask, with noise, and its mask."""
    table = spiral(directions)
    signal = image.coefficients @ evaluation_matrix([table], SHELLS).T
    signal += sigma * np.random.default_rng(5).standard_normal(signal.shape)
    s0 = 1000.0 * image.mask[..., None]
    data = np.concatenate([s0, s0 * np.clip(signal, 0.01, 1)], axis=3).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / "sub-01_dwi"
    nib.save(nib.Nifti1Image(data, image.affine), stem.with_suffix(".nii.gz"))
    mask = stem.with_name("mask.nii.gz")
    nib.save(nib.Nifti1Image(image.mask.astype(np.uint8), image.affine), mask)
    bvals = np.array([0.0] + [1000.0] * directions)
    bvecs = to_fsl(np.concatenate([np.zeros((1, 3)), table]), image.affine)
    write_fsl_table(stem.with_suffix(".bval"), stem.with_suffix(".bvec"), bvals, bvecs)
    scan = make_scan(stem, subject="01", bvals=tuple(bvals.tolist()), dataset=folder)
    return replace(scan, mask=mask)


def exact_gain() -> OrderGain:
    """The target scanner itself."""
    return OrderGain(GAINS, NO_OFFSET)


def exact_regression() -> PatchLinear:
    """The target scanner itself, as a method that counts as denoising."""
    weights = np.zeros((27, 6, 6), np.float32)
    weights[CENTRE] = np.diag(GAINS)
    return PatchLinear(weights.reshape(-1, 6), NO_OFFSET)


def write_fit(file: Path, harmonizer: Harmonizer) -> None:
    """Write a fitted method."""
    record = {"harmonizer": harmonizer.record()}
    write_bytes(file, serialize_arrays(harmonizer.arrays(), record))


def evaluate_job(
    folder: Path,
    subjects: Mapping[str, TravellingSubject],
    harmonizers: Mapping[Method, Harmonizer],
    **changes: Any,
) -> EvaluateJob:
    """Job of fold 1, which holds subject 01 out."""
    prepared_folders = {label: folder / label for label in subjects}
    for label, subject in subjects.items():
        write_travelling_subject(prepared_folders[label], subject, {"inputs": label})
    fitted_files = {method: folder / f"{method}.safetensors" for method in harmonizers}
    for method, harmonizer in harmonizers.items():
        write_fit(fitted_files[method], harmonizer)
    sources = {
        label: write_source(folder / "scans" / label, subject.source)
        for label, subject in subjects.items()
    }
    job = EvaluateJob(
        number=1,
        split=SPLIT,
        prepared_folders=prepared_folders,
        repeat_folders={},
        sources=sources,
        shells=SHELLS,
        target_bvalues=(1000.0,),
        noise=None,
        methods=tuple(harmonizers),
        applied_method=next(iter(harmonizers)),
        fitted_files=fitted_files,
        file=folder / "evaluation-01.json",
        seed=0,
        device="cpu",
    )
    return replace(job, **changes)


def evaluate(job: EvaluateJob) -> EvaluationResults:
    """Evaluate a fold, and read its results."""
    evaluate_fold(job)
    return read_results([job])


def result(
    results: EvaluationResults,
    method: str,
    tissue: str = "WM",
    quantity: str = "FA",
    *,
    places: str = "all",
) -> HeldOutResult:
    """Result of a method at one endpoint."""
    (row,) = (
        row
        for row in results.rows
        if (row.method, row.tissue, row.quantity) == (method, tissue, quantity)
        and row.places == places
    )
    return row
