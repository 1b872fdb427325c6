from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.harmonics import evaluation_matrix
from bids_shresnet.diffusion.represent import represent_dwi
from bids_shresnet.diffusion.representation import unregularized_coefficients
from bids_shresnet.diffusion.spatial.anisotropy_denoising import denoise_orders
from bids_shresnet.diffusion.spatial.interpolation import sample_inside, sample_patches
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tensors import fit_tensor_maps
from bids_shresnet.errors import BadInput
from bids_shresnet.inputs.load_scan import load_scan
from bids_shresnet.inputs.tissue import segment_tissue
from bids_shresnet.network.patches import CENTRE_INDEX
from bids_shresnet.pairs import MatchedVoxels, TravellingSubject
from bids_shresnet.scans import Scan, Shell
from bids_shresnet.training.match_scans import RepresentedScan, match_scans, refuse_slab
from bids_shresnet.training.training_mask import training_mask
from tests.factories import make_scan
from tests.images import load_image
from tests.training.moved_head import ROTATION, SHELLS, move_points


@pytest.fixture(scope="module")
def matched(travelling_subject: TravellingSubject) -> MatchedVoxels:
    return travelling_subject.matched


@pytest.fixture(scope="module")
def source_scan(source: Scan) -> RepresentedScan:
    return RepresentedScan.load(source, SHELLS.source)


@pytest.fixture(scope="module")
def target_scan(moved: Scan) -> RepresentedScan:
    return RepresentedScan.load(moved, SHELLS.target)


@pytest.fixture(scope="module")
def selected(moved: Scan, target_scan: RepresentedScan) -> Bool[np.ndarray, "x y z"]:
    """Voxels of the target to be matched."""
    loaded = target_scan.loaded
    tissue = segment_tissue(moved, loaded, target_scan.representation)
    return np.asarray(training_mask(tissue) & loaded.mask)


def world_to_voxels(
    points: Float[np.ndarray, "p 3"], affine: Float[np.ndarray, "4 4"]
) -> tuple[np.ndarray, ...]:
    """Indices of the nearest voxels."""
    voxels = nib.affines.apply_affine(np.linalg.inv(affine), points)
    return tuple(np.rint(voxels).astype(int).T)


def test_directions_are_turned_into_the_source_heads_pose(
    source_scan: RepresentedScan, matched: MatchedVoxels
) -> None:
    bvecs = source_scan.loaded.dwi.bvecs[2:]
    expected = evaluation_matrix([bvecs], SHELLS.source)
    not_turned = evaluation_matrix([bvecs @ ROTATION.T], SHELLS.source)
    error = np.abs(matched.sh_matrix - expected).max()
    assert error < 0.25 * np.abs(not_turned - expected).max()


def test_all_training_voxels_of_a_moved_head_are_matched(
    matched: MatchedVoxels, selected: Bool[np.ndarray, "x y z"]
) -> None:
    assert len(matched.tissue) == selected.sum()


def test_the_regions_are_those_of_the_targets_voxels(
    travelling_subject: TravellingSubject, selected: Bool[np.ndarray, "x y z"]
) -> None:
    expected = np.argwhere(selected)[:, 2]  # a region is a slab
    np.testing.assert_array_equal(travelling_subject.regions, expected)


def test_the_source_signal_at_the_matched_points_is_the_targets(
    source_scan: RepresentedScan,
    target_scan: RepresentedScan,
    matched: MatchedVoxels,
    selected: Bool[np.ndarray, "x y z"],
) -> None:
    """Both scans are one measurement, voxel by voxel."""
    coefficients = source_scan.representation.image.coefficients[selected]
    centres = matched.patches[:, CENTRE_INDEX, :-1].astype(float)
    variance = np.square(coefficients - coefficients.mean(0)).sum()
    assert np.square(centres - coefficients).sum() < 0.1 * variance


def test_the_label_is_the_targets_signal_as_measured(
    moved: Scan,
    target_scan: RepresentedScan,
    matched: MatchedVoxels,
    selected: Bool[np.ndarray, "x y z"],
) -> None:
    loaded = target_scan.loaded
    representation = target_scan.representation
    signal = representation.signal[selected[loaded.mask]]
    np.testing.assert_array_equal(matched.signal, signal.astype(np.float16))
    tissue = segment_tissue(moved, loaded, representation)
    np.testing.assert_array_equal(matched.tissue, tissue[selected])


def test_missing_shells_are_measured_at_the_same_points_in_the_sources_pose(
    source: Scan, moved: Scan, matched: MatchedVoxels
) -> None:
    """The target's only shell also plays the part of a missing one."""
    shells = replace(SHELLS, missing=(Shell(1000.0, 4),))
    missing = match_scans(source, moved, shells).missing_shells
    assert missing is not None
    for name in ("signal", "bvals", "bvecs", "patches", "points"):
        np.testing.assert_array_equal(getattr(missing, name), getattr(matched, name))
    expected = evaluation_matrix([matched.bvecs], shells.missing)
    np.testing.assert_allclose(missing.sh_matrix, expected, atol=1e-6)


def test_points_are_the_positions_of_the_targets_voxels_in_the_source(
    target_scan: RepresentedScan, matched: MatchedVoxels, selected: Bool[np.ndarray, "x y z"]
) -> None:
    """Voxels are 8 mm wide: half of the errors are below 2 mm, nearly all below 4 mm."""
    positions = nib.affines.apply_affine(target_scan.loaded.dwi.affine, np.argwhere(selected))
    errors = np.linalg.norm(move_points(matched.points) - positions, axis=1)
    assert np.median(errors) < 2
    assert np.quantile(errors, 0.95) < 4
    without_registration = np.linalg.norm(matched.points - positions, axis=1)
    assert np.median(without_registration) > 8


def test_voxels_outside_the_sources_brain_are_not_matched(
    source: Scan,
    moved: Scan,
    source_scan: RepresentedScan,
    target_scan: RepresentedScan,
    matched: MatchedVoxels,
    tmp_path: Path,
) -> None:
    """Without the top of the source's mask, every row still is one position with its signal."""
    loaded = source_scan.loaded
    top = np.flatnonzero(loaded.mask.any(axis=(0, 1)))[-4]
    mask = loaded.mask & (np.arange(loaded.mask.shape[2]) < top)
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), loaded.dwi.affine), tmp_path / "mask.nii.gz")
    lower = match_scans(replace(source, mask=tmp_path / "mask.nii.gz"), moved, SHELLS).matched
    assert 0.5 * len(matched.points) < len(lower.points) < 0.97 * len(matched.points)
    assert mask[world_to_voxels(lower.points, loaded.dwi.affine)].all()
    target = target_scan.loaded
    signal = unmask(target_scan.representation.signal.astype(np.float16), target.mask)
    expected = signal[world_to_voxels(move_points(lower.points), target.dwi.affine)]
    assert (expected == lower.signal).all(axis=1).mean() > 0.5


def test_patches_are_sampled_from_the_source_image_with_contrast(
    travelling_subject: TravellingSubject,
) -> None:
    image = travelling_subject.source
    matched = travelling_subject.matched
    assert matched.patches.shape[1:] == (27, image.coefficients.shape[3] + 1)
    np.testing.assert_allclose(matched.patches, sample_patches(image, matched.points), atol=2e-3)


def test_the_matrix_is_that_of_the_directions_and_b_values_are_the_targets(
    moved: Scan, matched: MatchedVoxels
) -> None:
    expected = evaluation_matrix([matched.bvecs], SHELLS.source)
    np.testing.assert_allclose(matched.sh_matrix, expected, atol=1e-6)
    np.testing.assert_array_equal(matched.bvals, SHELLS.target[0].bvalue)
    assert len(matched.bvals) == len(matched.bvecs)
    assert len(matched.bvals) == sum(bvalue > 50 for bvalue in moved.bvals)


def test_the_noise_is_that_of_the_target_scan_at_the_matched_voxels(
    target_scan: RepresentedScan, matched: MatchedVoxels, selected: Bool[np.ndarray, "x y z"]
) -> None:
    variance = target_scan.representation.noise_variance
    expected = variance[selected[target_scan.loaded.mask]]
    np.testing.assert_allclose(matched.noise_variance, expected, rtol=1e-6)


def test_the_denoised_source_is_that_of_its_noise(
    source_scan: RepresentedScan, travelling_subject: TravellingSubject
) -> None:
    expected = denoise_orders(source_scan.representation)
    np.testing.assert_allclose(travelling_subject.source_denoised, expected, atol=1e-6)


def test_the_source_is_the_whole_scan_as_it_will_be_harmonized(
    source: Scan, travelling_subject: TravellingSubject
) -> None:
    loaded = load_scan(source)
    expected = represent_dwi(loaded.dwi, loaded.mask, SHELLS.source).image
    for name in ("coefficients", "mask", "affine", "contrast"):
        values = getattr(travelling_subject.source, name)
        np.testing.assert_array_equal(values, getattr(expected, name))


def test_unharmonized_are_the_tensors_and_coefficients_of_both_scans(
    source_scan: RepresentedScan,
    travelling_subject: TravellingSubject,
    selected: Bool[np.ndarray, "x y z"],
) -> None:
    """A moved head has the same FA and MD, and nearly the same coefficients at matched points."""
    loaded = source_scan.loaded
    unharmonized = travelling_subject.unharmonized
    tensors = fit_tensor_maps(loaded.dwi, loaded.mask)
    np.testing.assert_allclose(unharmonized.source_maps, np.stack([tensors.fa, tensors.md], -1))
    expected_maps = unharmonized.source_maps[selected]
    np.testing.assert_allclose(unharmonized.target_maps, expected_maps, rtol=1e-3, atol=1e-5)
    coefficients = unregularized_coefficients(source_scan.representation)
    volume = unmask(coefficients, loaded.mask)
    points = travelling_subject.matched.points
    expected = sample_inside(volume, loaded.mask, loaded.dwi.affine, points)
    np.testing.assert_allclose(unharmonized.source_coefficients, expected, atol=1e-3)


@pytest.mark.parametrize("extra", ["source", "target"])
def test_a_shell_of_one_scanner_alone_does_not_change_what_is_compared(
    extra: str, source: Scan, moved: Scan, travelling_subject: TravellingSubject, tmp_path: Path
) -> None:
    scans = {"source": source, "target": moved}
    scans[extra] = append_shell(scans[extra], tmp_path)
    with_shell = match_scans(scans["source"], scans["target"], SHELLS)
    for name in ("source_maps", "target_maps", "target_tensor_bvals"):
        expected = getattr(travelling_subject.unharmonized, name)
        np.testing.assert_array_equal(getattr(with_shell.unharmonized, name), expected)


def append_shell(scan: Scan, folder: Path) -> Scan:
    """Write the scan with a shell at b = 500 of other apparent diffusivities."""
    image = load_image(scan.image)
    data = np.asarray(image.dataobj)
    bvals = np.loadtxt(scan.bval)
    bvecs = np.loadtxt(scan.bvec)
    weighted = bvals > 50
    copy = replace(scan, image=folder / scan.image.name, bval=folder / "bval", bvec=folder / "bvec")
    extended = np.concatenate([data, data[..., weighted] // 2], axis=3)
    nib.save(nib.Nifti1Image(extended, image.affine, image.header), copy.image)
    np.savetxt(copy.bval, np.concatenate([bvals, 0.5 * bvals[weighted]])[None])
    np.savetxt(copy.bvec, np.concatenate([bvecs, bvecs[:, weighted]], axis=1))
    return replace(copy, bvals=tuple(np.loadtxt(copy.bval).tolist()))


def test_points_of_the_outermost_voxels_have_the_signal_of_their_centres(
    source: Scan, moved: Scan, tmp_path: Path
) -> None:
    """A field of view that ends in the brain, beyond whose last voxels an image is zero."""
    image = load_image(source.image)
    cut = replace(source, image=tmp_path / source.image.name)
    nib.save(image.slicer[:, :, : image.shape[2] // 2], cut.image)
    subject = match_scans(cut, moved, SHELLS)
    affine = subject.source.affine
    positions = nib.affines.apply_affine(np.linalg.inv(affine), subject.matched.points)
    assert positions.min() > -1e-4
    assert (positions.max(axis=0) < np.array(subject.source.mask.shape) - 1 + 1e-4).all()
    near_edge = positions[:, 2] > subject.source.mask.shape[2] - 1.1
    assert near_edge.sum() > 20
    for values in (subject.matched.source_s0, subject.matched.patches[:, CENTRE_INDEX, 0]):
        assert (values[near_edge] > 0).mean() > 0.95


def test_a_slab_of_few_slices_is_refused_and_a_small_grid_or_a_head_is_not() -> None:
    scan = make_scan()
    refuse_slab(scan, (64, 64, 40))
    refuse_slab(scan, (6, 6, 3))
    with pytest.raises(BadInput, match=r"a slab of 3 slices .* too thin to be registered"):
        refuse_slab(scan, (64, 64, 3))
