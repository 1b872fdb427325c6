from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from bids_shresnet.config import InputSettings, ScannerSettings
from bids_shresnet.diffusion.harmonics import evaluation_matrix
from bids_shresnet.diffusion.interpolation import sample_image, sample_patches
from bids_shresnet.diffusion.masking import unmask
from bids_shresnet.diffusion.noise import estimate_noise_variance
from bids_shresnet.diffusion.representation import represent_dwi, unregularized_coefficients
from bids_shresnet.diffusion.tensors import fit_tensor_maps
from bids_shresnet.errors import BadInput
from bids_shresnet.inputs.load_scan import load_scan
from bids_shresnet.inputs.qsiprep import QSIPREP_LABELS
from bids_shresnet.pairs import MatchedVoxels, Pair, TravellingSubject
from bids_shresnet.planning.discover import find_scans
from bids_shresnet.planning.pair_shells import PairShells, match_pair_shells
from bids_shresnet.scans import LabelImage, Scan, Scanner, Shell, Tissue
from bids_shresnet.training.match_scans import match_scans
from bids_shresnet.training.prepare import (
    PrepareJob,
    is_prepared,
    prepare_jobs,
    prepare_subject,
    repeat_scan_jobs,
)
from bids_shresnet.training.tissue import segment_tissue, training_mask
from bids_shresnet.training.travelling_subjects import open_travelling_subject
from tests.factories import make_scan

POSE = Rotation.from_rotvec(
    np.radians([8.0, -5.0, 6.0])
).as_matrix()  # how the head lies on the other scanner
SHIFT = np.array([6.0, -4.0, 3.0])  # mm
SHELLS = PairShells((Shell(1000.0, 2),), (Shell(1000.0, 2),))


def scan(shells: dict[float, int], subject: str = "01") -> Scan:
    bvals = tuple(float(b) for b, count in shells.items() for _ in range(count))
    return make_scan(subject=subject, bvals=bvals)


def pair(*travelling: tuple[dict[float, int], dict[float, int]]) -> Pair:
    both = tuple((scan(s, f"0{n}"), scan(t, f"1{n}")) for n, (s, t) in enumerate(travelling, 1))
    return Pair(Scanner("GE"), Scanner("Prisma"), both)


def test_partners_are_the_nearest_shells_of_both_scanners_and_other_shells_stay_out() -> None:
    first = ({0: 1, 1000: 30, 3000: 60}, {0: 1, 700: 20, 1200: 12, 2800: 60, 5000: 60})
    found = match_pair_shells(pair(first, first, first), None)
    assert found.source == (Shell(1000.0, 4), Shell(3000.0, 4))
    assert found.target == (
        Shell(1200.0, 2),
        Shell(2800.0, 4),
    )  # order 2 where 15 coefficients would be too many


def test_missing_are_the_targets_shells_without_a_partner_if_they_are_asked_for() -> None:
    both = ({0: 1, 1000: 30}, {0: 1, 700: 20, 1200: 12, 2800: 60})
    own = pair(both, both, both)
    assert match_pair_shells(own, None, should_predict_missing=True).missing == (
        Shell(700.0, 4),
        Shell(2800.0, 4),
    )
    assert match_pair_shells(own, None).missing == ()
    lacking = pair(both, (both[0], {0: 1, 700: 20, 1200: 12}))
    with pytest.raises(BadInput, match="b = 2800"):
        match_pair_shells(lacking, None, should_predict_missing=True)
    assert match_pair_shells(lacking, None).missing == ()


def test_the_order_asked_for_is_taken() -> None:
    same = {0: 1, 1000: 64}
    assert match_pair_shells(pair((same, same)), 8) == PairShells(
        (Shell(1000.0, 8),), (Shell(1000.0, 8),)
    )


def test_scanners_without_a_common_shell_are_no_pair() -> None:
    with pytest.raises(BadInput, match="no b-value within 25 %"):
        match_pair_shells(pair(({0: 1, 1000: 30}, {0: 1, 3000: 30})), None)


def test_all_subjects_that_lack_a_shell_are_named_at_once() -> None:
    usual, other = {0: 1, 1000: 30}, {0: 1, 2000: 30}
    with pytest.raises(BadInput) as caught:
        match_pair_shells(
            pair((usual, usual), (other, usual), (usual, other), (usual, usual)), None
        )
    files = [finding.file for finding in caught.value.findings]
    assert files == ["sub-02_dwi.nii.gz", "sub-13_dwi.nii.gz"]


@pytest.fixture(scope="module")
def source(phantom: Path) -> Scan:
    found = find_scans(
        InputSettings(phantom / "bids"), ScannerSettings(), is_identity_required=True
    ).scans
    return next(scan for scan in found if scan.subject == "04")


@pytest.fixture(scope="module")
def moved(source: Scan, tmp_path_factory: pytest.TempPathFactory) -> Scan:
    """The same scan of a head that lay otherwise, with the field of view moved along: every voxel sees the same."""
    image = nib.load(source.image)
    affine = image.affine.copy()
    affine[:3, :3], affine[:3, 3] = POSE @ affine[:3, :3], POSE @ affine[:3, 3] + SHIFT
    path = tmp_path_factory.mktemp("moved") / source.image.name
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), affine), path)
    return replace(source, image=path)  # FSL's b-vectors are the image's, which has turned


@pytest.fixture(scope="module")
def travelling(source: Scan, moved: Scan) -> TravellingSubject:
    return match_scans(source, moved, SHELLS)


@pytest.fixture(scope="module")
def matched(travelling: TravellingSubject) -> MatchedVoxels:
    return travelling.matched


def in_moved_pose(points: Float[np.ndarray, "p 3"]) -> Float[np.ndarray, "p 3"]:
    """Where a point of the source lies in the moved scan."""
    return np.asarray(points @ POSE.T + SHIFT)


def test_directions_come_back_into_the_source_heads_pose(
    source: Scan, matched: MatchedVoxels
) -> None:
    expected = evaluation_matrix([load_scan(source).dwi.bvecs[2:]], SHELLS.source)
    turned = evaluation_matrix([load_scan(source).dwi.bvecs[2:] @ POSE.T], SHELLS.source)
    assert np.abs(matched.sh_matrix - expected).max() < 0.25 * np.abs(turned - expected).max()


def test_places_of_a_moved_head_are_found_again(
    source: Scan, moved: Scan, matched: MatchedVoxels
) -> None:
    """What is found at the source is, voxel by voxel, what the target shows: both are one measurement."""
    target = load_scan(moved)
    wanted = represent_dwi(target.dwi, target.mask, SHELLS.target)
    tissue = segment_tissue(moved, target, wanted)
    use = training_mask(tissue)[target.mask]
    assert len(matched.tissue) > 0.95 * use.sum()
    if len(matched.tissue) != use.sum():
        pytest.fail("a voxel was lost between equal heads")
    coefficients = represent_dwi(
        load_scan(source).dwi, load_scan(source).mask, SHELLS.source
    ).image.coefficients[target.mask][use]
    centre = matched.patches[:, 13, :-1].astype(float)
    error = ((centre - coefficients) ** 2).sum() / (
        (coefficients - coefficients.mean(0)) ** 2
    ).sum()
    assert error < 0.1


def test_the_label_is_the_targets_signal_as_measured(moved: Scan, matched: MatchedVoxels) -> None:
    target = load_scan(moved)
    wanted = represent_dwi(target.dwi, target.mask, SHELLS.target)
    labels = segment_tissue(moved, target, wanted)
    tissue, use = labels[target.mask], training_mask(labels)[target.mask]
    np.testing.assert_array_equal(matched.signal, wanted.signal[use].astype(np.float16))
    np.testing.assert_array_equal(matched.tissue, tissue[use])


def test_missing_shells_are_taught_as_measured_at_the_same_places_in_the_sources_pose(
    source: Scan, moved: Scan, matched: MatchedVoxels
) -> None:
    """The target's only shell taken for one that the source lacks as well."""
    shells = replace(SHELLS, missing=(Shell(1000.0, 4),))
    found = match_scans(source, moved, shells).missing_shells
    assert found is not None
    for name in ("signal", "bvals", "bvecs", "patches", "points"):
        np.testing.assert_array_equal(getattr(found, name), getattr(matched, name))
    expected = evaluation_matrix([matched.bvecs], shells.missing)
    np.testing.assert_allclose(found.sh_matrix, expected, atol=1e-6)


def test_points_are_where_a_moved_head_has_the_targets_voxels(
    moved: Scan, matched: MatchedVoxels
) -> None:
    """Half of them to a quarter of a voxel of 8 mm, nearly all to half a voxel; unmoved they are 8 mm and more away."""
    target = load_scan(moved)
    use = (
        training_mask(
            segment_tissue(moved, target, represent_dwi(target.dwi, target.mask, SHELLS.target))
        )
        & target.mask
    )
    voxels = nib.affines.apply_affine(target.dwi.affine, np.argwhere(use))
    apart = np.linalg.norm(in_moved_pose(matched.points) - voxels, axis=1)
    assert np.median(apart) < 2
    assert np.quantile(apart, 0.95) < 4
    assert np.median(np.linalg.norm(matched.points - voxels, axis=1)) > 8


def test_what_lies_outside_the_sources_brain_is_not_learned_from(
    source: Scan, moved: Scan, matched: MatchedVoxels, tmp_path: Path
) -> None:
    """A source mask without the top of the head: each row is still one place, where the target measured this signal."""
    loaded = load_scan(source)
    top = np.flatnonzero(loaded.mask.any(axis=(0, 1)))[-4]
    inside = loaded.mask & (np.arange(loaded.mask.shape[2]) < top)
    nib.save(nib.Nifti1Image(inside.astype(np.uint8), loaded.dwi.affine), tmp_path / "mask.nii.gz")
    found = match_scans(replace(source, mask=tmp_path / "mask.nii.gz"), moved, SHELLS).matched
    voxels = np.rint(
        nib.affines.apply_affine(np.linalg.inv(loaded.dwi.affine), found.points)
    ).astype(int)
    assert inside[tuple(voxels.T)].all()
    target = load_scan(moved)
    wanted = represent_dwi(target.dwi, target.mask, SHELLS.target)
    places = np.rint(
        nib.affines.apply_affine(np.linalg.inv(target.dwi.affine), in_moved_pose(found.points))
    )
    there = unmask(wanted.signal.astype(np.float16), target.mask)[tuple(places.astype(int).T)]
    assert 0.5 * len(matched.points) < len(found.points) < 0.97 * len(matched.points)
    assert (there == found.signal).all(axis=1).mean() > 0.5


def test_patches_are_those_of_the_source_image_at_the_points_with_contrast(
    travelling: TravellingSubject,
) -> None:
    image, matched = travelling.source, travelling.matched
    assert matched.patches.shape[1:] == (27, image.coefficients.shape[3] + 1)
    np.testing.assert_allclose(matched.patches, sample_patches(image, matched.points), atol=2e-3)


def test_the_matrix_is_that_of_the_directions_and_b_values_are_the_targets(
    moved: Scan, matched: MatchedVoxels
) -> None:
    expected = evaluation_matrix([matched.bvecs], SHELLS.source)
    np.testing.assert_allclose(matched.sh_matrix, expected, atol=1e-6)
    np.testing.assert_array_equal(
        matched.bvals, np.full(len(matched.bvecs), SHELLS.target[0].bvalue)
    )
    assert len(matched.bvals) == sum(bvalue > 50 for bvalue in moved.bvals)


def test_the_noise_is_that_of_the_target_scan_at_the_voxels_learned_from(
    moved: Scan, matched: MatchedVoxels
) -> None:
    target = load_scan(moved)
    wanted = represent_dwi(target.dwi, target.mask, SHELLS.target)
    use = training_mask(segment_tissue(moved, target, wanted))[target.mask]
    expected = estimate_noise_variance(target.dwi, wanted, target.s0)[use]
    np.testing.assert_allclose(matched.noise_variance, expected, rtol=1e-6)


def test_the_source_is_the_whole_scan_as_it_will_be_harmonized(
    source: Scan, travelling: TravellingSubject
) -> None:
    loaded = load_scan(source)
    expected = represent_dwi(loaded.dwi, loaded.mask, SHELLS.source).image
    for name in ("coefficients", "mask", "affine", "contrast"):
        np.testing.assert_array_equal(getattr(travelling.source, name), getattr(expected, name))


def test_unharmonized_are_the_tensors_and_coefficients_of_both_scans_as_they_are(
    source: Scan, moved: Scan, travelling: TravellingSubject
) -> None:
    """Of a moved head target and source have the same FA, MD and, at the places found, nearly the same coefficients."""
    loaded, target = load_scan(source), load_scan(moved)
    tensors = fit_tensor_maps(loaded.dwi, loaded.mask)
    plain = travelling.unharmonized
    np.testing.assert_allclose(plain.source_maps, np.stack([tensors.fa, tensors.md], -1))
    use = (
        training_mask(
            segment_tissue(moved, target, represent_dwi(target.dwi, target.mask, SHELLS.target))
        )
        & target.mask
    )
    np.testing.assert_allclose(plain.target_maps, plain.source_maps[use], rtol=1e-3, atol=1e-5)
    seen = represent_dwi(loaded.dwi, loaded.mask, SHELLS.source)
    expected = sample_image(
        unmask(unregularized_coefficients(seen), loaded.mask),
        loaded.dwi.affine,
        travelling.matched.points,
    )
    np.testing.assert_allclose(plain.source_coefficients, expected, atol=1e-3)


def test_a_repeat_is_prepared_beside_its_subject_with_the_targets_b_values_and_the_pairs_orders() -> (
    None
):
    travelling, again = (
        (scan({0: 1, 1000: 30}), scan({0: 1, 1200: 12}, "01")),
        scan({0: 1, 1200: 12}, "01"),
    )
    own = replace(pair(), travelling_scans=(travelling,), repeats=((again, travelling[1]),))
    shells = PairShells((Shell(1000.0, 4),), (Shell(1200.0, 2),))
    (job,) = repeat_scan_jobs(own, shells, Path("work"))
    assert job == PrepareJob(
        again, travelling[1], PairShells(*[(Shell(1200.0, 4),)] * 2), Path("work/repeats/sub-01")
    )
    assert repeat_scan_jobs(replace(own, repeats=()), shells, Path("work")) == ()


def test_grey_and_white_matter_and_what_touches_them_is_learnt_from() -> None:
    tissue = np.zeros((7, 7, 7), dtype=int)
    tissue[1, 3, 3], tissue[5, 3, 3], tissue[3, 3, 3] = Tissue.GM, Tissue.WM, Tissue.CSF
    distance = [
        np.abs(np.argwhere(np.ones_like(tissue)) - place).sum(1) for place in ((1, 3, 3), (5, 3, 3))
    ]
    np.testing.assert_array_equal(training_mask(tissue).ravel(), np.minimum(*distance) <= 1)


def test_the_inputs_own_segmentation_decides_where_is_grey_and_white_matter(
    source: Scan, tmp_path: Path
) -> None:
    loaded = load_scan(source)
    represented = represent_dwi(loaded.dwi, loaded.mask, SHELLS.source)
    tissue = segment_tissue(source, loaded, represented)
    tissue[np.random.default_rng(0).random(tissue.shape) < 0.2] = (
        0  # not what the classifier would say
    )
    numbers = {tissue: label for label, tissue in QSIPREP_LABELS.items()}
    stored = np.array([0, *(numbers[one] for one in Tissue)], np.uint8)[tissue]
    nib.save(nib.Nifti1Image(stored, loaded.dwi.affine), tmp_path / "dseg.nii.gz")
    own = replace(source, segmentation=LabelImage(tmp_path / "dseg.nii.gz", QSIPREP_LABELS))
    np.testing.assert_array_equal(segment_tissue(own, loaded, represented), tissue)
    for order in permutations(Tissue):
        labels = dict(zip(QSIPREP_LABELS, order, strict=True))
        if (
            labels != QSIPREP_LABELS
        ):  # among them BIDS's: grey matter would be called white, and white matter CSF
            with pytest.raises(BadInput, match="not what the scan shows"):
                segment_tissue(
                    replace(own, segmentation=LabelImage(tmp_path / "dseg.nii.gz", labels)),
                    loaded,
                    represented,
                )


def test_a_subject_is_prepared_once_and_again_when_one_of_its_files_changes(
    source: Scan,
    moved: Scan,
    travelling: TravellingSubject,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "bids_shresnet.training.prepare.match_scans", lambda *_: travelling
    )  # its result is tested above
    bvec = Path(shutil.copy(source.bvec, tmp_path / "a.bvec"))
    own = Pair(Scanner("GE"), Scanner("Prisma"), ((replace(source, bvec=bvec), moved),))
    (job,) = prepare_jobs(own, SHELLS, tmp_path / "work")
    assert job.folder == tmp_path / "work" / "sub-04"
    assert prepare_subject(job)
    assert not prepare_subject(job)
    found = open_travelling_subject(job.folder, SHELLS.source).matched
    for name, array in vars(travelling.matched).items():
        np.testing.assert_array_equal(getattr(found, name), array)
    bvec.write_text(bvec.read_text() + "\n")
    assert is_prepared(job)  # a job has read its files once
    assert not is_prepared(replace(job))
    assert prepare_subject(replace(job))
    (job.folder / "record.json").unlink()
    assert prepare_subject(replace(job))
