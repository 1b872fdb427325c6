from __future__ import annotations

import numpy as np
import pytest
from dipy.segment.mask import median_otsu
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from bids_shresnet.diffusion.spatial.masking import (
    average_locally,
    compute_brain_mask,
    filter_median,
    largest_connected_component,
    unmask,
)
from bids_shresnet.phantom.anatomy import Person, PhantomTissue
from bids_shresnet.phantom.head import PhantomSession, simulate_dwi
from bids_shresnet.phantom.scanner import PhantomScanner
from tests.diffusion.heads import atlas, lay_down, turn

SCANNER = PhantomScanner(
    {}, directions=1, table_seed=3, b0_count=1, te_ms=80.0, psf_mm=3.0, snr=25.0, receive_rise=0.3
)
BLOBS = arrays(bool, (5, 5, 4), elements=st.booleans())


def someones_b0(session: PhantomSession) -> tuple[np.ndarray, PhantomTissue]:
    rng = np.random.default_rng(1)
    tissue = session.compute_tissue(atlas(), Person.draw(rng))
    return simulate_dwi(tissue, SCANNER, session, rng).data[..., 0], tissue


def is_solid(mask: np.ndarray) -> bool:
    """One piece, and no background that is closed in."""
    return bool(
        ndimage.label(mask)[1] == 1
        and ndimage.label(np.pad(~mask, 1, constant_values=True))[1] == 1
    )


@pytest.mark.slow
@pytest.mark.parametrize("voxel_mm", [3.0, 4.0, 5.0])
def test_phantoms_brain_is_found_in_one_piece_without_holes(voxel_mm: float) -> None:
    b0, tissue = someones_b0(lay_down(voxel_mm, rotation=turn(4, -3, 5)))
    mask = compute_brain_mask(b0, voxel_mm)
    assert 2 * (mask & tissue.brain_mask).sum() / (mask.sum() + tissue.brain_mask.sum()) > 0.9
    assert is_solid(mask)


@pytest.mark.slow
def test_hardly_any_grey_or_white_matter_is_missed() -> None:
    b0, tissue = someones_b0(lay_down(4.0))
    assert compute_brain_mask(b0, 4.0)[tissue.pure_labels > 0].mean() > 0.995


def test_mask_is_a_voxel_wider_than_what_is_bright() -> None:
    radius = np.linalg.norm(np.moveaxis(np.indices((24, 24, 24)), 0, -1) - 11.5, axis=-1)
    ball = radius < 8
    noise = np.random.default_rng(0).uniform(0, 20, ball.shape)
    wider = compute_brain_mask(1000.0 * ball + noise, 4.0)
    assert (
        wider[ndimage.binary_dilation(ball)].mean() > 0.95
    )  # the median filter takes the corners off
    assert not wider[radius > 10].any()


def test_gain_does_not_matter() -> None:
    b0, _ = someones_b0(lay_down(5.0))
    np.testing.assert_array_equal(compute_brain_mask(1024 * b0, 5.0), compute_brain_mask(b0, 5.0))


def test_hollow_ball_is_filled_and_what_lies_apart_is_dropped() -> None:
    radius = np.linalg.norm(np.moveaxis(np.indices((15, 15, 15)), 0, -1) - 7, axis=-1)
    shell = (radius < 6) & (radius > 4)
    shell[0, 0, :3] = True
    np.testing.assert_array_equal(largest_connected_component(shell), radius < 6)


def test_ventricle_that_is_open_only_across_slices_is_filled() -> None:
    tube = np.zeros((5, 5, 4), bool)
    tube[1:4, 1:4] = True
    tube[2, 2] = False  # open at both ends
    filled = tube.copy()
    filled[2, 2] = True
    np.testing.assert_array_equal(largest_connected_component(tube), filled)


@given(BLOBS)
def test_largest_piece_is_solid_and_holds_the_most_voxels(blobs: np.ndarray) -> None:
    piece = largest_connected_component(blobs)
    labels, count = ndimage.label(blobs)
    if count == 0:
        assert not piece.any()
        return
    assert is_solid(piece)
    assert (piece & blobs).sum() >= np.bincount(labels.ravel())[1:].max()


@given(BLOBS)
def test_solid_piece_stays_as_it_is(blobs: np.ndarray) -> None:
    piece = largest_connected_component(blobs)
    np.testing.assert_array_equal(largest_connected_component(piece), piece)


def test_values_of_a_mask_lie_where_it_is_true() -> None:
    mask = np.random.default_rng(0).uniform(size=(3, 4, 2)) > 0.3
    values = np.arange(1.0, 2 * mask.sum() + 1).reshape(-1, 2)
    image = unmask(values, mask, fill=-1.0)
    np.testing.assert_array_equal(image[mask], values)
    np.testing.assert_array_equal(image[~mask], -1)
    np.testing.assert_array_equal(unmask(values, mask)[~mask], 0)


@pytest.mark.parametrize("radius", [1, 2, 3])
@pytest.mark.parametrize("shape", [(9, 8, 7), (2, 12, 3)])
def test_the_median_filter_is_that_of_scipy(shape: tuple[int, ...], radius: int) -> None:
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    expected = ndimage.median_filter(values, size=2 * radius + 1)
    np.testing.assert_array_equal(filter_median(values, radius), expected)


def test_the_mask_is_that_of_dipy_in_one_piece_and_a_voxel_wider() -> None:
    centred = np.moveaxis(np.indices((16, 16, 16)), 0, -1) - 7.5
    rng = np.random.default_rng(0)
    b0 = 1000.0 * (np.linalg.norm(centred, axis=-1) < 5) + rng.uniform(0, 400, (16, 16, 16))
    _, mask = median_otsu(b0, median_radius=2, numpass=2)
    expected = ndimage.binary_dilation(largest_connected_component(mask))
    np.testing.assert_array_equal(compute_brain_mask(b0, 2.0), expected)


def test_each_column_is_averaged_as_if_it_were_alone() -> None:
    rng = np.random.default_rng(0)
    mask = rng.uniform(size=(6, 7, 5)) > 0.4
    values = rng.standard_normal((6, 7, 5, 3))
    averages = average_locally(values, mask, 0.8)
    for column in range(3):
        alone = average_locally(values[..., column], mask, 0.8)
        np.testing.assert_array_equal(averages[..., column], alone)
