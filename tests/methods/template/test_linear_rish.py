from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float
from scipy.linalg import block_diag
from scipy.ndimage import binary_erosion, gaussian_filter

from bids_shresnet.diffusion.harmonics import (
    evaluation_matrix,
    fitting_matrix,
    order_indices,
    shell_fitting_matrix,
)
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.spatial.template import (
    Template,
    TemplatePositions,
    brain_points,
    build_template,
)
from bids_shresnet.methods.template.linear_rish import (
    GAIN_RANGE,
    LinearRish,
    fit_linear_rish,
    fit_regularized_coefficients,
)
from bids_shresnet.pairs import MatchedVoxels, TravellingSubject, UnharmonizedData
from bids_shresnet.scans import Shell, ShImage
from tests.datasets import spiral

GRID = (16, 15, 14)  # ANTs needs that much
AFFINE = np.array([[2.0, 0, 0, -5], [0, 2, 0, 3], [0, 0, 2, 1], [0, 0, 0, 1]])
TEMPLATE = Template(np.ones((*GRID, 1), np.float32), AFFINE)
SHELLS = (Shell(1000.0, 2), Shell(2000.0, 4))
ORDERS = order_indices(SHELLS)
GAIN = (1.1, 0.6, 0.9, 1.5, 2.0)  # of the target over the source, order by order
TABLES = spiral(40), spiral(60)
MATRIX = evaluation_matrix(TABLES, SHELLS)
FIT = block_diag(
    *(fitting_matrix(table, shell.sh_order) for table, shell in zip(TABLES, SHELLS, strict=True))
)
MASK = np.zeros(GRID, dtype=bool)
MASK[1:-1, 1:-1, 1:-1] = True


def signal(seed: int, gain: tuple[float, ...] = (1.0,) * len(ORDERS)) -> Float[np.ndarray, "v d"]:
    """Signal of a head with varying coefficients on a scanner with a gain for each order."""
    noise = np.random.default_rng(seed).standard_normal((*GRID, MATRIX.shape[1]))
    coefficients = gaussian_filter(noise, (1, 1, 1, 0))
    return np.asarray(scaled(coefficients[MASK], gain) @ MATRIX.T)


def scaled(
    coefficients: Float[np.ndarray, "v c"], gain: tuple[float, ...]
) -> Float[np.ndarray, "v c"]:
    out = coefficients.copy()
    for group, factor in zip(ORDERS, gain, strict=True):
        out[:, group] *= factor
    return out


def head(seed: int) -> ShImage:
    """The regularized fit of a scan."""
    coefficients = unmask((signal(seed) @ FIT.T).astype(np.float32), MASK)
    return ShImage(coefficients, MASK, AFFINE, SHELLS, np.zeros(GRID, np.float32))


def travelling(seed: int, gain: tuple[float, ...] = GAIN) -> TravellingSubject:
    """A subject whose head does not move; the matched points are the source's voxels."""
    image = head(seed)
    count = int(MASK.sum())
    matched = MatchedVoxels(
        patches=np.zeros((count, 27, MATRIX.shape[1] + 1), np.float16),
        signal=signal(seed, gain).astype(np.float32),
        bvals=np.repeat([shell.bvalue for shell in SHELLS], [len(table) for table in TABLES]),
        bvecs=np.concatenate(TABLES),
        sh_matrix=MATRIX.astype(np.float32),
        noise_variance=np.ones(count, np.float32),
        source_s0=np.ones(count, np.float32),
        points=brain_points(image),
        tissue=np.ones(count, np.uint8),
    )
    unharmonized = UnharmonizedData(  # linear RISH does not use it
        image.coefficients[MASK],
        source_maps=np.zeros((*GRID, 2)),
        target_maps=np.zeros((count, 2)),
        target_tensor_bvals=np.zeros(1),
    )
    return TravellingSubject(image, matched, unharmonized, image.coefficients[image.mask])


def fitted(gain: tuple[float, ...] = GAIN) -> LinearRish:
    subjects = [travelling(seed, gain) for seed in (1, 2)]
    return fit_linear_rish(
        TEMPLATE,
        subjects,
        [TemplatePositions(brain_points(s.source), s.matched.points) for s in subjects],
    )


def test_a_scanner_that_scales_each_order_is_undone_in_a_held_out_head() -> None:
    image = head(3)
    harmonized = fitted().predict_at_positions(image, brain_points(image))
    truth = scaled(image.coefficients[MASK], GAIN)
    # not more exactly: on 40 and 60 directions the harmonics are not quite orthogonal
    assert np.square(harmonized - truth).sum() < 1e-4 * np.square(truth).sum()


@pytest.mark.slow
def test_it_is_undone_as_well_if_heads_have_to_be_registered() -> None:
    image = head(1)
    subjects = [travelling(1), travelling(1)]
    template = build_template([subject.source for subject in subjects])
    positions = [template.locate_subject(subject) for subject in subjects]
    harmonized = fit_linear_rish(template, subjects, positions).predict(image)
    # without the rim, where a position may fall outside the template
    inner = binary_erosion(MASK, iterations=2)[MASK]
    measured = image.coefficients[MASK][inner]
    truth = scaled(measured, GAIN)
    input_error = np.square(measured - truth).sum()
    assert np.square(harmonized[inner] - truth).sum() < 0.25 * input_error


def test_gains_are_limited_to_their_range_and_1_without_data() -> None:
    rish = fitted((1.0, 0.01, 1.0, 1.0, 30.0))
    np.testing.assert_allclose(rish.gains[MASK][:, 1], GAIN_RANGE[0], rtol=1e-6)
    np.testing.assert_allclose(rish.gains[MASK][:, 4], GAIN_RANGE[1], rtol=1e-6)
    np.testing.assert_array_equal(rish.gains[0, 0, 0], 1)


def test_a_gain_is_interpolated_at_the_position() -> None:
    gains = np.ones((*GRID, len(ORDERS)), np.float32)
    gains[..., 0] = np.arange(GRID[0])[:, None, None]
    image = head(4)
    moved = brain_points(image) + np.array([1.0, 0, 0])  # half a voxel
    harmonized = LinearRish(TEMPLATE, gains).predict_at_positions(image, moved)
    measured = image.coefficients[image.mask]
    steps = np.argwhere(image.mask)[:, 0] + 0.5
    np.testing.assert_allclose(harmonized[:, 0], measured[:, 0] * steps, rtol=1e-5)
    np.testing.assert_array_equal(harmonized[:, 1:], measured[:, 1:])


def test_the_target_is_fitted_as_scans_are() -> None:
    np.testing.assert_allclose(
        fit_regularized_coefficients(travelling(5).matched, SHELLS),
        signal(5, GAIN) @ FIT.T,
        atol=1e-5,
    )


def with_directions(source_count: int, target_count: int) -> TravellingSubject:
    """A head whose two scanners measure the same signal in so many directions."""
    shells = (Shell(2000.0, 4, source_count),)
    coefficients = np.random.default_rng(6).standard_normal((int(MASK.sum()), 15))
    tables = spiral(source_count), spiral(target_count)
    source_matrix, target_matrix = (evaluation_matrix([table], shells) for table in tables)
    fit = shell_fitting_matrix(tables[0], shells[0])
    source = coefficients @ source_matrix.T @ fit.T
    subject = travelling(1)
    matched = replace(
        subject.matched,
        signal=(coefficients @ target_matrix.T).astype(np.float32),
        bvals=np.full(target_count, 2000.0),
        bvecs=tables[1],
        sh_matrix=target_matrix.astype(np.float32),
    )
    image = replace(
        subject.source, coefficients=unmask(source.astype(np.float32), MASK), shells=shells
    )
    return replace(subject, source=image, matched=matched)


@pytest.mark.parametrize(("source_count", "target_count"), [(30, 90), (90, 30), (45, 45)])
def test_scanners_that_differ_in_their_directions_alone_have_gains_of_1(
    source_count: int, target_count: int
) -> None:
    subject = with_directions(source_count, target_count)
    positions = TemplatePositions(brain_points(subject.source), subject.matched.points)
    gains = fit_linear_rish(TEMPLATE, [subject], [positions]).gains[MASK]
    np.testing.assert_allclose(np.median(gains, axis=0), 1, atol=0.02)


def test_a_model_comes_back_from_its_arrays() -> None:
    rish = fitted()
    loaded = LinearRish.from_arrays(rish.arrays())
    image = head(3)
    positions = brain_points(image) + 0.3
    expected = rish.predict_at_positions(image, positions)
    np.testing.assert_array_equal(loaded.predict_at_positions(image, positions), expected)


def test_the_scan_is_not_written_to() -> None:
    image = head(3)
    before = image.coefficients.copy()
    fitted().predict_at_positions(image, brain_points(image))
    np.testing.assert_array_equal(image.coefficients, before)


@pytest.mark.parametrize("power", [0.0, 1e-7])
def test_an_order_without_power_has_no_gain(power: float) -> None:
    subject = travelling(1)
    subject.source.coefficients[..., ORDERS[1]] *= power
    positions = TemplatePositions(brain_points(subject.source), subject.matched.points)
    rish = fit_linear_rish(TEMPLATE, [subject], [positions])
    np.testing.assert_array_equal(rish.gains[..., 1], 1)
