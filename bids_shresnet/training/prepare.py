"""Prepare: the two scans of each travelling subject -> arrays in the work folder that a network can be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy import ndimage

from bids_shresnet.diffusion.gradients import rotate_bvecs
from bids_shresnet.diffusion.harmonics import evaluation_matrix
from bids_shresnet.diffusion.noise import estimate_noise_variance
from bids_shresnet.diffusion.registration import register_images
from bids_shresnet.diffusion.representation import (
    Representation,
    anisotropy,
    represent_dwi,
    unmask,
    unregularized_coefficients,
)
from bids_shresnet.diffusion.sampling import sample_image, sample_patches
from bids_shresnet.diffusion.shells import PairShells
from bids_shresnet.diffusion.tensors import fit_tensor, fit_tensor_maps
from bids_shresnet.diffusion.tissue import classify_tissue, diffusion_contrast, parenchyma_mask
from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.inputs.load_scan import LoadedScan, load_scan
from bids_shresnet.inputs.segmentation import read_tissue
from bids_shresnet.io.arrays import read_array_record
from bids_shresnet.io.storage import hash_file, hash_record, hold_lock
from bids_shresnet.pairs import MatchedVoxels, Pair, TravellingSubject, UnharmonizedData
from bids_shresnet.scans import LabelImage, Scan, Segmentation, Shell, Tissue
from bids_shresnet.training.travelling_subjects import write_travelling_subject
from bids_shresnet.version import __version__


@dataclass(frozen=True)
class PrepareJob:
    """One travelling subject of one pair."""

    source: Scan
    target: Scan
    shells: PairShells
    folder: Path

    @cached_property  # it reads the scans, and is asked for by every job that uses their subject
    def digest(self) -> str:
        """Of all that the result depends on."""
        scans = [
            [*map(hash_file, scan.files), scan.bvec_axes, *_segmentation_inputs(scan)]
            for scan in (self.source, self.target)
        ]
        shells = [
            [[shell.bvalue, shell.sh_order] for shell in some]
            for some in vars(self.shells).values()
        ]
        return hash_record([__version__, scans, shells])


def _segmentation_inputs(scan: Scan) -> list[Any]:
    """What the tissue of a scan depends on."""
    found = scan.segmentation
    labels = sorted(found.labels.items()) if isinstance(found, LabelImage) else []
    return [*map(hash_file, found.files), labels] if found else []


def prepare_jobs(pair: Pair, shells: PairShells, work: Path) -> tuple[PrepareJob, ...]:
    """One job a travelling subject."""
    return tuple(
        PrepareJob(source, target, shells, work / f"sub-{source.subject}")
        for source, target in pair.travelling_scans
    )


def repeat_scan_jobs(pair: Pair, shells: PairShells, work: Path) -> tuple[PrepareJob, ...]:
    """The same for the target's own repeated scans, whose difference no harmonizer can go below."""
    orders = [shell.sh_order for shell in shells.source]
    same = tuple(
        Shell(shell.bvalue, order) for shell, order in zip(shells.target, orders, strict=True)
    )
    return tuple(
        PrepareJob(
            again, target, PairShells(same, same), work / "repeats" / f"sub-{target.subject}"
        )
        for again, target in pair.repeats
    )


def prepare_subject(job: PrepareJob) -> bool:
    """Register the subject's two scans and write what they teach; False if that was done before."""
    with hold_lock(job.folder):
        if is_prepared(job):
            return False
        record = {
            "inputs": job.digest,
            "source": str(job.source.image),
            "target": str(job.target.image),
        }
        write_travelling_subject(job.folder, match_scans(job), record)
    return True


def is_prepared(job: PrepareJob) -> bool:
    """Whether that is there, and of these scans."""
    before = read_array_record(job.folder)
    return before is not None and bool(before["inputs"] == job.digest)


def match_scans(job: PrepareJob) -> TravellingSubject:
    """Find the target's grey- and white-matter voxels in the source scan and take both scanners' signal there."""
    source, target = load_scan(job.source), load_scan(job.target)
    seen = represent_dwi(source.dwi, source.mask, job.shells.source)
    wanted = represent_dwi(target.dwi, target.mask, job.shells.target)
    tissue = segment_tissue(job.target, target, wanted)
    use = training_mask(tissue) & target.mask
    found = register_images(
        scan_contrasts(target, wanted),
        target.dwi.affine,
        scan_contrasts(source, seen),
        source.dwi.affine,
        nib.affines.apply_affine(target.dwi.affine, np.argwhere(use)),
    )
    inside = _is_in_brain(found.points, source)
    points, learned = found.points[inside], use[target.mask]
    learned[learned] = inside
    orders = [shell.sh_order for shell in job.shells.source]
    matched = MatchedVoxels(
        patches=sample_patches(seen.image, points),
        **_target_measurements(wanted, learned, found.rotation, orders),
        noise_variance=estimate_noise_variance(target.dwi, wanted, target.s0)[learned].astype(
            np.float32
        ),
        points=points.astype(np.float32),
        tissue=tissue[target.mask][learned].astype(np.uint8),
    )
    missing = None
    if job.shells.missing:
        shown = represent_dwi(target.dwi, target.mask, job.shells.missing)
        orders = [shell.sh_order for shell in job.shells.missing]
        missing = replace(matched, **_target_measurements(shown, learned, found.rotation, orders))
    return TravellingSubject(
        seen.image, matched, _compute_unharmonized(source, seen, target, learned, points), missing
    )


def _target_measurements(
    representation: Representation,
    selected: Bool[np.ndarray, " m"],
    rotation: Float[np.ndarray, "3 3"],
    orders: Sequence[int],
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """What the target measured, its gradient table in the source's head pose, and the harmonics to be predicted."""
    tables = [rotate_bvecs(table, rotation) for table in representation.directions]
    bvalues = [shell.bvalue for shell in representation.image.shells]
    shells = [Shell(bvalue, order) for bvalue, order in zip(bvalues, orders, strict=True)]
    return {
        "signal": representation.signal[selected].astype(np.float16),
        "bvals": np.repeat(bvalues, [len(table) for table in tables]),
        "bvecs": np.concatenate(tables),
        "sh_matrix": evaluation_matrix(tables, shells).astype(np.float32),
    }


def _compute_unharmonized(
    source: LoadedScan,
    representation: Representation,
    target: LoadedScan,
    selected: Bool[np.ndarray, " m"],
    points: Float[np.ndarray, "p 3"],
) -> UnharmonizedData:
    """Both scans as they are, each fitted where it was measured."""
    tensors, affine = fit_tensor_maps(source.dwi, source.mask), source.dwi.affine
    there = unmask(selected, target.mask)
    measured = fit_tensor(
        target.dwi.data[there], np.where(target.dwi.is_b0, 0, target.dwi.bvals), target.dwi.bvecs
    )
    return UnharmonizedData(
        source_coefficients=sample_image(
            unmask(unregularized_coefficients(representation), source.mask), affine, points
        ),
        source_maps=np.stack([tensors.fa, tensors.md], -1),
        target_maps=np.stack([measured.fa, measured.md], -1),
    )


def training_mask(tissue: Int[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Grey and white matter and what touches it.

    Their border is part of them: the classifier sees the target's own signal, and voxels chosen by how bright their
    label is would teach the network to predict too bright a signal wherever grey matter and CSF share a voxel.
    """
    matter = (tissue == Tissue.GM) | (tissue == Tissue.WM)
    return np.asarray(ndimage.binary_dilation(matter))


def scan_contrasts(
    loaded: LoadedScan, representation: Representation
) -> list[Float[np.ndarray, "x y z"]]:
    """What both scanners show alike: S0 (CSF bright), anisotropy (tracts), mean signal of the first shell (tissue)."""
    return [
        loaded.s0 * loaded.mask,
        anisotropy(representation.image),
        mean_signal(loaded, representation),
    ]


def mean_signal(loaded: LoadedScan, representation: Representation) -> Float[np.ndarray, "x y z"]:
    """Mean S/S0 over the directions of the first shell."""
    first_shell = representation.signal[:, : len(representation.directions[0])]
    return unmask(first_shell.mean(axis=1), loaded.mask)


def segment_tissue(
    scan: Scan, loaded: LoadedScan, representation: Representation
) -> Int[np.ndarray, "x y z"]:
    """The input's own segmentation, else DIPY's on the contrast of the first shell.

    Raises
    ------
    BadInput
        If the segmentation's tissues do not look so in the scan.
    """
    contrast = diffusion_contrast(
        mean_signal(loaded, representation), anisotropy(representation.image)
    )
    if scan.segmentation is None:
        return classify_tissue(contrast, parenchyma_mask(loaded.s0, loaded.mask))
    tissue = read_tissue(scan.segmentation, loaded.dwi.shape, loaded.dwi.affine)
    _check_segmentation(scan.segmentation, tissue, contrast, loaded.mask)
    return tissue


def _check_segmentation(
    segmentation: Segmentation,
    tissue: Int[np.ndarray, "x y z"],
    contrast: Float[np.ndarray, "x y z"],
    mask: Bool[np.ndarray, "x y z"],
) -> None:
    """Refuse tissues by which the contrast does not rise as it must: wrong labels, or an anatomy of another space."""
    found = {one: contrast[mask & (tissue == one)] for one in (Tissue.CSF, Tissue.GM, Tissue.WM)}
    medians = {one: float(np.median(values)) for one, values in found.items() if values.size}
    rises = all(low < high for low, high in pairwise(medians.values()))
    if rises and {Tissue.GM, Tissue.WM} <= set(medians):
        return
    seen = (
        ", ".join(f"{one.name} {value:.2f}" for one, value in medians.items())
        or "none of them in the brain"
    )
    value = f"its tissues are not what the scan shows: contrast of {seen}; it should rise from CSF to GM to WM"
    remedy = "Its labels may be wrong, or it is not aligned with the scan: correct it, or leave the derivative out."
    raise BadInput([Finding("error", str(segmentation.files[0]), value, remedy)])


def _is_in_brain(points: Float[np.ndarray, "p 3"], scan: LoadedScan) -> Bool[np.ndarray, " p"]:
    """Which points lie in the scan's brain: beyond it (a slab's edge, say) there is nothing to learn."""
    voxels = np.rint(nib.affines.apply_affine(np.linalg.inv(scan.dwi.affine), points)).astype(int)
    within = ((voxels >= 0) & (voxels < scan.mask.shape)).all(axis=1)
    out = np.zeros(len(points), dtype=bool)
    out[within] = scan.mask[tuple(voxels[within].T)]
    return out
