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

from bids_shresnet.diffusion.gradients import rotate
from bids_shresnet.diffusion.harmonics import evaluation_matrix
from bids_shresnet.diffusion.noise import noise_variance
from bids_shresnet.diffusion.registration import register
from bids_shresnet.diffusion.representation import Representation, anisotropy, in_mask, represent, unsmoothed
from bids_shresnet.diffusion.sampling import sample, sample_patches
from bids_shresnet.diffusion.shells import PairShells
from bids_shresnet.diffusion.tensors import tensor_maps, tensor_values
from bids_shresnet.diffusion.tissue import classify, diffusion_contrast, parenchyma
from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.inputs.load_scan import Loaded, load
from bids_shresnet.inputs.segmentation import read_tissue
from bids_shresnet.io.arrays import read_array_record
from bids_shresnet.io.storage import digest, one_job_at_a_time, sha256
from bids_shresnet.pairs import Matched, Pair, Travelling, Unharmonized
from bids_shresnet.scans import LabelImage, Scan, Segmentation, Shell, Tissue
from bids_shresnet.training.travelling import write_travelling
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
            [*map(sha256, scan.files), scan.bvec_axes, *_of_segmentation(scan)] for scan in (self.source, self.target)
        ]
        shells = [[[shell.bvalue, shell.sh_order] for shell in some] for some in vars(self.shells).values()]
        return digest([__version__, scans, shells])


def _of_segmentation(scan: Scan) -> list[Any]:
    """What the tissue of a scan depends on."""
    found = scan.segmentation
    labels = sorted(found.labels.items()) if isinstance(found, LabelImage) else []
    return [*map(sha256, found.files), labels] if found else []


def prepare_jobs(pair: Pair, shells: PairShells, work: Path) -> tuple[PrepareJob, ...]:
    """One job a travelling subject."""
    return tuple(
        PrepareJob(source, target, shells, work / f"sub-{source.subject}") for source, target in pair.travelling
    )


def repeat_jobs(pair: Pair, shells: PairShells, work: Path) -> tuple[PrepareJob, ...]:
    """The same for the target's own repeated scans, whose difference no harmonizer can go below."""
    orders = [shell.sh_order for shell in shells.source]
    same = tuple(Shell(shell.bvalue, order) for shell, order in zip(shells.target, orders, strict=True))
    return tuple(
        PrepareJob(again, target, PairShells(same, same), work / "repeats" / f"sub-{target.subject}")
        for again, target in pair.repeats
    )


def prepare(job: PrepareJob) -> bool:
    """Register the subject's two scans and write what they teach; False if that was done before."""
    with one_job_at_a_time(job.folder):
        if is_prepared(job):
            return False
        record = {"inputs": job.digest, "source": str(job.source.image), "target": str(job.target.image)}
        write_travelling(job.folder, match(job), record)
    return True


def is_prepared(job: PrepareJob) -> bool:
    """Whether that is there, and of these scans."""
    before = read_array_record(job.folder)
    return before is not None and bool(before["inputs"] == job.digest)


def match(job: PrepareJob) -> Travelling:
    """Find the target's grey- and white-matter voxels in the source scan and take both scanners' signal there."""
    source, target = load(job.source), load(job.target)
    seen = represent(source.dwi, source.mask, job.shells.source)
    wanted = represent(target.dwi, target.mask, job.shells.target)
    tissue = tissue_of(job.target, target, wanted)
    use = to_learn_from(tissue) & target.mask
    found = register(
        contrasts(target, wanted),
        target.dwi.affine,
        contrasts(source, seen),
        source.dwi.affine,
        nib.affines.apply_affine(target.dwi.affine, np.argwhere(use)),
    )
    inside = _in_mask(found.points, source)
    points, learned = found.points[inside], use[target.mask]
    learned[learned] = inside
    orders = [shell.sh_order for shell in job.shells.source]
    matched = Matched(
        patches=sample_patches(seen.image, points),
        **_labels(wanted, learned, found.rotation, orders),
        noise=noise_variance(target.dwi, wanted, target.s0)[learned].astype(np.float32),
        points=points.astype(np.float32),
        tissue=tissue[target.mask][learned].astype(np.uint8),
    )
    missing = None
    if job.shells.missing:
        shown = represent(target.dwi, target.mask, job.shells.missing)
        orders = [shell.sh_order for shell in job.shells.missing]
        missing = replace(matched, **_labels(shown, learned, found.rotation, orders))
    return Travelling(seen.image, matched, _unharmonized(source, seen, target, learned, points), missing)


def _labels(
    wanted: Representation,
    learned: Bool[np.ndarray, " m"],
    rotation: Float[np.ndarray, "3 3"],
    orders: Sequence[int],
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """What the target measured, its gradient table in the source's head pose, and the harmonics to be predicted."""
    tables = [rotate(table, rotation) for table in wanted.tables]
    bvalues = [shell.bvalue for shell in wanted.image.shells]
    shells = [Shell(bvalue, order) for bvalue, order in zip(bvalues, orders, strict=True)]
    return {
        "signal": wanted.signal[learned].astype(np.float16),
        "bvals": np.repeat(bvalues, [len(table) for table in tables]),
        "bvecs": np.concatenate(tables),
        "matrix": evaluation_matrix(tables, shells).astype(np.float32),
    }


def _unharmonized(
    source: Loaded,
    seen: Representation,
    target: Loaded,
    learned: Bool[np.ndarray, " m"],
    points: Float[np.ndarray, "p 3"],
) -> Unharmonized:
    """Both scans as they are, each fitted where it was measured."""
    tensors, affine = tensor_maps(source.dwi, source.mask), source.dwi.affine
    there = in_mask(learned, target.mask)
    measured = tensor_values(target.dwi.data[there], np.where(target.dwi.b0s, 0, target.dwi.bvals), target.dwi.bvecs)
    return Unharmonized(
        coefficients=sample(in_mask(unsmoothed(seen), source.mask), affine, points),
        maps=np.stack([tensors.fa, tensors.md], -1),
        target=np.stack([measured.fa, measured.md], -1),
    )


def to_learn_from(tissue: Int[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Grey and white matter and what touches it.

    Their border is part of them: the classifier sees the target's own signal, and voxels chosen by how bright their
    label is would teach the network to predict too bright a signal wherever grey matter and CSF share a voxel.
    """
    matter = (tissue == Tissue.GM) | (tissue == Tissue.WM)
    return np.asarray(ndimage.binary_dilation(matter))


def contrasts(loaded: Loaded, represented: Representation) -> list[Float[np.ndarray, "x y z"]]:
    """What both scanners show alike: S0 (CSF bright), anisotropy (tracts), mean signal of the first shell (tissue)."""
    return [loaded.s0 * loaded.mask, anisotropy(represented.image), mean_signal(loaded, represented)]


def mean_signal(loaded: Loaded, represented: Representation) -> Float[np.ndarray, "x y z"]:
    """Mean S/S0 over the directions of the first shell."""
    first_shell = represented.signal[:, : len(represented.tables[0])]
    return in_mask(first_shell.mean(axis=1), loaded.mask)


def tissue_of(scan: Scan, loaded: Loaded, represented: Representation) -> Int[np.ndarray, "x y z"]:
    """The input's own segmentation, else DIPY's on the contrast of the first shell.

    Raises
    ------
    BadInput
        If the segmentation's tissues do not look so in the scan.
    """
    contrast = diffusion_contrast(mean_signal(loaded, represented), anisotropy(represented.image))
    if scan.segmentation is None:
        return classify(contrast, parenchyma(loaded.s0, loaded.mask))
    tissue = read_tissue(scan.segmentation, loaded.dwi.shape, loaded.dwi.affine)
    _refuse_unlikely(scan.segmentation, tissue, contrast, loaded.mask)
    return tissue


def _refuse_unlikely(
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
    seen = ", ".join(f"{one.name} {value:.2f}" for one, value in medians.items()) or "none of them in the brain"
    value = f"its tissues are not what the scan shows: contrast of {seen}; it should rise from CSF to GM to WM"
    remedy = "Its labels may be wrong, or it is not aligned with the scan: correct it, or leave the derivative out."
    raise BadInput([Finding("error", str(segmentation.files[0]), value, remedy)])


def _in_mask(points: Float[np.ndarray, "p 3"], scan: Loaded) -> Bool[np.ndarray, " p"]:
    """Which points lie in the scan's brain: beyond it (a slab's edge, say) there is nothing to learn."""
    voxels = np.rint(nib.affines.apply_affine(np.linalg.inv(scan.dwi.affine), points)).astype(int)
    within = ((voxels >= 0) & (voxels < scan.mask.shape)).all(axis=1)
    out = np.zeros(len(points), dtype=bool)
    out[within] = scan.mask[tuple(voxels[within].T)]
    return out
