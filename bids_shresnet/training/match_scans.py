"""Match the two scans of a travelling subject, so that methods can be fitted on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from bids_shresnet.diffusion.gradients import rotate_bvecs
from bids_shresnet.diffusion.harmonics import evaluation_matrix
from bids_shresnet.diffusion.measurement_noise import relative_s0
from bids_shresnet.diffusion.represent import represent_dwi, represent_source
from bids_shresnet.diffusion.representation import (
    Representation,
    anisotropy,
    find_represented_volumes,
    mean_signal,
    unregularized_coefficients,
)
from bids_shresnet.diffusion.spatial.anisotropy_denoising import denoise_orders
from bids_shresnet.diffusion.spatial.interpolation import (
    round_voxels,
    sample_inside,
    sample_patches,
)
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.spatial.registration import register_images
from bids_shresnet.diffusion.tensors import (
    fit_dwi_tensor,
    fit_tensor_maps,
    select_tensor_volumes,
)
from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.inputs.load_scan import LoadedScan, load_scan
from bids_shresnet.inputs.segmentation import read_regions
from bids_shresnet.inputs.tissue import classify_scan, segment_tissue
from bids_shresnet.pairs import MatchedVoxels, TravellingSubject, UnharmonizedData
from bids_shresnet.planning.checks.headers import SLAB_REMEDY, describe_slab
from bids_shresnet.planning.pair_shells import PairShells
from bids_shresnet.scans import Scan, Shell
from bids_shresnet.training.match_halves import match_halves
from bids_shresnet.training.registration_quality import measure_quality
from bids_shresnet.training.training_mask import training_mask


@dataclass(frozen=True)
class RepresentedScan:
    """A scan in memory and its representation in spherical harmonics."""

    loaded: LoadedScan
    representation: Representation

    @classmethod
    def load(
        cls,
        scan: Scan,
        shells: tuple[Shell, ...],
        represent: Callable[..., Representation] = represent_source,
    ) -> RepresentedScan:
        """Read a scan and represent some of its shells, by default for methods to be applied."""
        loaded = load_scan(scan)
        return cls(loaded, represent(loaded.dwi, loaded.mask, shells))

    @property
    def volumes(self) -> Int[np.ndarray, " k"]:
        """Indices of the b0 volumes and of the represented shells."""
        return find_represented_volumes(self.loaded.dwi, self.representation)

    def contrasts(self) -> list[Float[np.ndarray, "x y z"]]:
        """Contrasts that scanners share: S0 (CSF), anisotropy (tracts), mean signal (tissue)."""
        return [
            self.loaded.s0 * self.loaded.mask,
            anisotropy(self.representation.image),
            mean_signal(self.representation),
        ]


@dataclass(frozen=True)
class VoxelMatch:
    """Voxels of the target and their positions in the source scan.

    Attributes
    ----------
    selected
        The target's voxels.
    points
        Position of each selected voxel in the source scan, RAS+ mm, in the order of `np.argwhere`.
    rotation
        Rotation from the target's to the source's head pose.
    overlap
        Share of the target's tissue that lies in the source's brain.
    """

    selected: Bool[np.ndarray, "x y z"]
    points: Float[np.ndarray, "p 3"]
    rotation: Float[np.ndarray, "3 3"]
    overlap: float


def match_scans(source_scan: Scan, target_scan: Scan, shells: PairShells) -> TravellingSubject:
    """Collect both scanners' signal at the target's grey- and white-matter voxels.

    Raises
    ------
    BadInput
        If one of the scans is a slab of few slices.
    """
    source = RepresentedScan.load(source_scan, shells.source)
    target = RepresentedScan.load(target_scan, shells.target, represent_dwi)
    refuse_slab(source_scan, source.loaded.dwi.shape)
    refuse_slab(target_scan, target.loaded.dwi.shape)
    tissue = segment_tissue(target_scan, target.loaded, target.representation)
    match = match_voxels(source, target, tissue)
    matched = _collect_matched_voxels(source, target, match, tissue, shells.source)
    missing = None
    if shells.missing:
        dwi = target.loaded.dwi
        shown = replace(
            target, representation=represent_dwi(dwi, target.loaded.mask, shells.missing)
        )
        missing = replace(matched, **_target_measurements(shown, match, shells.missing))
    return TravellingSubject(
        source=source.representation.image,
        source_denoised=denoise_orders(source.representation),
        matched=matched,
        unharmonized=_compute_unharmonized(source, target, match),
        regions=_read_target_regions(target_scan, target.loaded, match),
        missing_shells=missing,
        source_halves=match_halves(
            source.loaded,
            source.representation.noise_variance,
            classify_scan(source.loaded, source.representation),
            shells.source_halves,
        ),
        target_halves=match_halves(
            target.loaded, target.representation.noise_variance, tissue, shells.target_halves
        ),
        quality=measure_quality(matched, match.overlap),
    )


def refuse_slab(scan: Scan, shape: tuple[int, ...]) -> None:
    """Refuse a scan of few slices, whose registration would fail, or succeed by chance.

    Raises
    ------
    BadInput
        If the scan is one.
    """
    slab = describe_slab(shape)
    if slab:
        raise BadInput([Finding.error(scan.image, slab, SLAB_REMEDY)])


def match_voxels(
    source: RepresentedScan, target: RepresentedScan, tissue: Int[np.ndarray, "x y z"]
) -> VoxelMatch:
    """Register the scans, and find the training voxels of the target in the source's brain."""
    affine = target.loaded.dwi.affine
    selected = training_mask(tissue) & target.loaded.mask
    correspondence = register_images(
        target.contrasts(),
        affine,
        source.contrasts(),
        source.loaded.dwi.affine,
        nib.affines.apply_affine(affine, np.argwhere(selected)),
    )
    is_inside = _is_in_brain(correspondence.points, source.loaded)
    selected[selected] = is_inside
    points = _move_onto_grid(correspondence.points[is_inside], source.loaded)
    overlap = float(is_inside.mean()) if is_inside.size else 0.0
    return VoxelMatch(selected, points, correspondence.rotation, overlap)


def _collect_matched_voxels(
    source: RepresentedScan,
    target: RepresentedScan,
    match: VoxelMatch,
    tissue: Int[np.ndarray, "x y z"],
    shells: Sequence[Shell],
) -> MatchedVoxels:
    """Collect patches of the source and measurements of the target."""
    variance = target.representation.noise_variance
    return MatchedVoxels(
        patches=sample_patches(source.representation.image, match.points),
        noise_variance=variance[match.selected[target.loaded.mask]].astype(np.float32),
        source_s0=_sample_relative_s0(source.loaded, match.points),
        points=match.points.astype(np.float32),
        tissue=tissue[match.selected].astype(np.uint8),
        **_target_measurements(target, match, shells),
    )


def _target_measurements(
    target: RepresentedScan, match: VoxelMatch, order_shells: Sequence[Shell]
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Signal of the target, its gradient table in the source's head pose, and harmonics.

    `order_shells` give the order of the harmonics of each shell.
    """
    representation = target.representation
    tables = [rotate_bvecs(table, match.rotation) for table in representation.directions]
    bvalues = [shell.bvalue for shell in representation.image.shells]
    shells = [
        Shell(bvalue, shell.sh_order) for bvalue, shell in zip(bvalues, order_shells, strict=True)
    ]
    selected = match.selected[target.loaded.mask]
    return {
        "signal": representation.signal[selected].astype(np.float16),
        "bvals": np.repeat(bvalues, [len(table) for table in tables]),
        "bvecs": np.concatenate(tables),
        "sh_matrix": evaluation_matrix(tables, shells).astype(np.float32),
    }


def _compute_unharmonized(
    source: RepresentedScan, target: RepresentedScan, match: VoxelMatch
) -> UnharmonizedData:
    """Fit the shells that both scanners have, each scan as it is and on its own grid."""
    scan = source.loaded
    source_tensors = fit_tensor_maps(scan.dwi, scan.mask, source.volumes)
    target_dwi = target.loaded.dwi
    target_tensors = fit_dwi_tensor(target_dwi, match.selected, target.volumes)
    bvals = target_dwi.bvals[target.volumes]
    coefficients = unmask(unregularized_coefficients(source.representation), scan.mask)
    return UnharmonizedData(
        source_coefficients=sample_inside(coefficients, scan.mask, scan.dwi.affine, match.points),
        source_maps=np.stack([source_tensors.fa, source_tensors.md], -1),
        target_maps=np.stack([target_tensors.fa, target_tensors.md], -1),
        target_tensor_bvals=bvals[select_tensor_volumes(bvals, target_dwi.bvecs[target.volumes])],
    )


def _read_target_regions(
    scan: Scan, target: LoadedScan, match: VoxelMatch
) -> Int[np.ndarray, " p"] | None:
    """Read the target's regions at the selected voxels; None without a parcellation."""
    if scan.parcellation is None:
        return None
    regions = read_regions(scan.parcellation, target.dwi.shape, target.dwi.affine)
    return np.asarray(regions[match.selected])


def _sample_relative_s0(
    scan: LoadedScan, points: Float[np.ndarray, "p 3"]
) -> Float[np.ndarray, " p"]:
    share = relative_s0(scan.s0, scan.mask)[..., None]
    return sample_inside(share, scan.mask, scan.dwi.affine, points)[:, 0]


def _is_in_brain(points: Float[np.ndarray, "p 3"], scan: LoadedScan) -> Bool[np.ndarray, " p"]:
    """Return True for points in the scan's brain. Beyond it (at a slab's edge) is no signal."""
    voxels = np.rint(round_voxels(scan.dwi.affine, points)).astype(int)
    is_on_grid = ((voxels >= 0) & (voxels < scan.mask.shape)).all(axis=1)
    is_inside = np.zeros(len(points), dtype=bool)
    is_inside[is_on_grid] = scan.mask[tuple(voxels[is_on_grid].T)]
    return is_inside


def _move_onto_grid(points: Float[np.ndarray, "p 3"], scan: LoadedScan) -> Float[np.ndarray, "p 3"]:
    """Move points in the outer half of the outermost voxels to where these were measured.

    Beyond the centres of voxels an image is zero.
    """
    affine = scan.dwi.affine
    positions = round_voxels(affine, points)
    on_grid = np.clip(positions, 0, np.array(scan.mask.shape) - 1)
    is_beyond = (positions != on_grid).any(axis=1, keepdims=True)
    return np.where(is_beyond, nib.affines.apply_affine(affine, on_grid), points)
