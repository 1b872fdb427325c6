from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_shresnet.diffusion.harmonics import evaluation_matrix, order_indices
from bids_shresnet.methods.sampling import (
    cut_denoised_patches,
    cut_voxel_patches,
    draw_rows,
    read_samples,
    select_near_voxels,
    target_lengths,
)
from bids_shresnet.pairs import MatchedVoxels
from bids_shresnet.scans import Shell
from tests.datasets import spiral
from tests.methods.heads import head, mask_patches, travelling

SHELLS = (Shell(1000.0, 2), Shell(2000.0, 4))
GROUPS = order_indices(SHELLS)
MATRIX = evaluation_matrix([spiral(12), spiral(30)], SHELLS)


def numbered(start: int, count: int, directions: int = 42) -> MatchedVoxels:
    """Voxels whose signal and patch are their number."""
    number = np.arange(start, start + count, dtype=np.float16)
    return MatchedVoxels(
        patches=np.broadcast_to(number[:, None, None], (count, 27, 22)),
        signal=np.broadcast_to(number[:, None], (count, directions)),
        bvals=np.full(directions, 1000.0),
        bvecs=spiral(directions),
        sh_matrix=MATRIX[:directions].astype(np.float32),
        noise_variance=np.ones(count, np.float32),
        source_s0=np.ones(count, np.float32),
        points=np.zeros((count, 3), np.float32),
        tissue=np.ones(count, np.uint8),
    )


@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    share=st.floats(0.1, 1),
    seed=st.integers(0, 9),
)
def test_voxels_are_drawn_at_most_once_and_from_all_subjects_alike(
    counts: list[int], share: float, seed: int
) -> None:
    """The requested number of voxels is drawn; each subject's rows are in ascending order."""
    subjects = [numbered(0, count) for count in counts]
    requested = max(1, int(share * sum(counts)))
    rows = draw_rows(subjects, requested, seed=[seed])
    assert len(rows) == len(counts)
    assert sum(len(part) for part in rows) == requested
    for part, count in zip(rows, counts, strict=True):
        assert part.tolist() == sorted(set(part.tolist()))
        assert all(0 <= row < count for row in part)


@pytest.mark.parametrize("count", [0, 50, 80])
def test_none_or_more_than_there_are_is_all_of_them(count: int) -> None:
    rows = draw_rows([numbered(0, 20), numbered(0, 30)], count, seed=[1])
    assert [part.tolist() for part in rows] == [list(range(20)), list(range(30))]


def test_every_voxel_has_the_same_chance() -> None:
    subjects = [numbered(0, 10), numbered(0, 30)]
    draws = np.zeros(40)
    for seed in range(400):
        first, second = draw_rows(subjects, 10, seed=[seed])
        draws[first] += 1
        draws[10 + second] += 1
    assert draws.sum() == 4000
    np.testing.assert_allclose(draws, 100, atol=40)  # 4.6 standard deviations


def test_the_seed_decides_which() -> None:
    subjects = [numbered(0, 99)]
    (rows,) = draw_rows(subjects, 30, seed=[1, 2])
    (same,) = draw_rows(subjects, 30, seed=[1, 2])
    (other,) = draw_rows(subjects, 30, seed=[1, 3])
    assert rows.tolist() == same.tolist()
    assert rows.tolist() != other.tolist()


def test_voxels_are_gathered_subject_by_subject_and_filled_up_with_zeros() -> None:
    subjects = [numbered(0, 5), numbered(100, 4, directions=30)]
    samples = read_samples(subjects, [np.array([1, 3]), np.array([0, 2, 3])])
    assert samples.subject_index.tolist() == [0, 0, 1, 1, 1]
    assert samples.signal[:, 0].tolist() == [1, 3, 100, 102, 103]
    assert samples.patches[:, 5, 5].tolist() == [1, 3, 100, 102, 103]
    assert not samples.signal[2:, 30:].any()
    np.testing.assert_array_equal(samples.matrices[0], MATRIX.astype(np.float32))
    np.testing.assert_array_equal(samples.matrices[1, :30], MATRIX[:30].astype(np.float32))
    assert not samples.matrices[1, 30:].any()


CHOSEN = [GROUPS[1], GROUPS[3], GROUPS[4]]  # order 2 of both shells, order 4 of the second


def measured(sigma: float, count: int = 20_000) -> tuple[MatchedVoxels, np.ndarray]:
    """One voxel measured many times, and its coefficients."""
    rng = np.random.default_rng(0)
    truth = rng.standard_normal(21) * 0.1
    signal = truth @ MATRIX.T + sigma * rng.standard_normal((count, 42))
    made = replace(
        numbered(0, count), signal=signal, noise_variance=np.full(count, sigma**2, np.float32)
    )
    return made, truth


def test_labels_of_a_measurement_without_noise_are_the_squared_lengths() -> None:
    matched, truth = measured(0.0, count=3)
    squared, _ = target_lengths(matched, np.array([0, 2]), CHOSEN)
    expected = [np.square(truth[group]).sum() for group in CHOSEN]
    np.testing.assert_allclose(squared, [expected] * 2, rtol=1e-4)


def test_the_noise_of_a_coefficient_is_what_repeated_measurements_scatter() -> None:
    """Noise adds 2l + 1 times the variance of a coefficient to the squared length of order l."""
    matched, truth = measured(0.05)
    squared, noise = target_lengths(matched, np.arange(20_000), CHOSEN)
    for column, group in enumerate(CHOSEN):
        excess = squared[:, column].mean() - np.square(truth[group]).sum()
        assert noise[0, column] * len(group) == pytest.approx(excess, rel=0.05)
    np.testing.assert_array_equal(noise, np.broadcast_to(noise[0], noise.shape))


def test_patches_of_voxels_are_those_that_a_network_is_applied_to() -> None:
    """Points anywhere in a voxel have the patch of that voxel, with all of its noise."""
    image = head(1)
    subject = travelling(image)
    expected = mask_patches(image)
    rng = np.random.default_rng(2)
    offsets = 2.0 * rng.uniform(-0.49, 0.49, subject.matched.points.shape)  # voxels of 2 mm
    moved = replace(
        subject.matched,
        points=(subject.matched.points + offsets).astype(np.float32),
        patches=np.zeros_like(subject.matched.patches),
    )
    rows = np.arange(0, len(expected), 7)
    patches = cut_voxel_patches(replace(subject, matched=moved), rows)
    np.testing.assert_allclose(patches.numpy(), expected[rows])


def test_patches_of_halves_are_those_of_the_match_wherever_the_other_scanner_lies() -> None:
    """The target's halves have the target's grid, on which the source's voxels do not lie."""
    subject = travelling(head(1))
    half = replace(
        subject.matched,
        patches=subject.matched.patches * np.float16(0.5),
        denoised_patches=subject.matched.patches[..., :6],
        points=subject.matched.points + np.float32(0.7),
    )
    rows = np.arange(5, 50)
    of_half = replace(subject, matched=half)
    np.testing.assert_array_equal(cut_voxel_patches(of_half, rows).numpy(), half.patches[rows])
    assert select_near_voxels(of_half, rows).all()


def test_denoised_patches_are_cut_from_the_same_voxels() -> None:
    subject = travelling(head(1))
    subject = replace(subject, source_denoised=2 * subject.source_denoised)
    rows = np.arange(0, 500, 7)
    patches = cut_voxel_patches(subject, rows)[..., :6]
    np.testing.assert_allclose(cut_denoised_patches(subject, rows), 2 * patches, rtol=1e-3)


def test_denoised_patches_of_halves_are_those_of_the_match() -> None:
    subject = travelling(head(1))
    denoised = subject.matched.patches[..., :6] * np.float16(0.5)
    half = replace(subject, matched=replace(subject.matched, denoised_patches=denoised))
    rows = np.arange(5, 50)
    np.testing.assert_array_equal(cut_denoised_patches(half, rows), denoised[rows])


def test_points_within_a_third_of_a_voxel_along_each_axis_are_near() -> None:
    subject = travelling(head(0))
    axes = subject.source.affine[:3, :3]
    steps = np.array([[0.2, -0.2, 0.2], [0.4, 0, 0], [0, 0, -0.4], [1.1, 0, 0]])
    points = subject.matched.points.copy()
    points[:4] += steps @ axes.T
    moved = replace(subject, matched=replace(subject.matched, points=points))
    np.testing.assert_array_equal(
        select_near_voxels(moved, np.arange(5)), [True, False, False, True, True]
    )
