from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from dipy.core.gradients import gradient_table as dipy_table
from dipy.reconst.dti import TensorModel
from dipy.segment.mask import median_otsu
from scipy.spatial.transform import Rotation

from bids_shresnet.phantom.anatomy import Person, PhantomTissue, SmoothField
from bids_shresnet.phantom.atlas import Atlas, build_atlas, read_atlas_maps
from bids_shresnet.phantom.head import (
    WATER_SIGNAL,
    draw_session,
    noise_sigma,
    simulate_dwi,
    simulate_noise_free_dwi,
    simulate_true_dwi,
)
from bids_shresnet.phantom.protocols import SCANNERS, SOURCE_SESSION, TARGET_SESSION
from bids_shresnet.phantom.raw_files import write_raw_dwi
from bids_shresnet.phantom.scanner import (
    PROTON_DENSITY,
    T2_MS,
    GradientTable,
    PhantomScanner,
    add_rician_noise,
    make_gradient_table,
    simulate_signal,
)
from bids_shresnet.phantom.tracts import tract_directions
from bids_shresnet.scans import Dwi
from tests.images import load_image

PLAIN = PhantomScanner(
    {}, directions=12, table_seed=3, b0_count=2, te_ms=80.0, psf_mm=3.0, snr=30.0
)
BLOCK = (2, 2, 2)
STILL = SmoothField(np.zeros((1, 3)), np.zeros(1), 0.0)
NOBODY = Person((STILL, STILL, STILL), STILL, STILL, STILL, (1.0, 1.0, 1.0))  # the atlas itself


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return build_atlas(read_atlas_maps())


def fit(dwi: Dwi, mask: np.ndarray) -> Any:
    """DIPY's tensor in some voxels."""
    table = dipy_table(np.where(dwi.is_b0, 0, dwi.bvals), bvecs=dwi.bvecs)
    return TensorModel(table, fit_method="WLS").fit(dwi.data[mask])


def uniform(fractions: tuple[float, float, float, float], direction: np.ndarray) -> PhantomTissue:
    """Some voxels alike, all their fibres (and the cortex's normal) along one direction."""
    return PhantomTissue(
        fractions=np.broadcast_to(np.array(fractions, np.float32), (*BLOCK, 4)).copy(),
        fibres=np.broadcast_to(direction.astype(np.float32), (*BLOCK, 4, 3)).copy(),
        fibre_fractions=np.broadcast_to(np.array([1, 0, 0, 0], np.float32), (*BLOCK, 4)).copy(),
        diffusivities=np.broadcast_to(
            np.array([1.7e-3, 0.3e-3, 0.8e-3], np.float32), (*BLOCK, 3)
        ).copy(),
        t1=np.ones(BLOCK, np.float32),
    )


def signal(tissue: PhantomTissue, scanner: PhantomScanner) -> Dwi:
    """Noise-free signal of voxels that all lie in the isocentre."""
    table = make_gradient_table(scanner)
    data = simulate_signal(tissue, scanner, table, isocentre_mm=np.zeros((*BLOCK, 3)), voxel_mm=2.0)
    return Dwi(data, np.eye(4), table.bvals, table.bvecs)


def degrees_between(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Angle between axes, whatever their sign."""
    cosines = np.abs((one * other).sum(-1))
    return np.asarray(np.degrees(np.arccos(np.clip(cosines, 0, 1))))


@pytest.mark.parametrize("te_ms", [0.0, 60.0, 110.0])
def test_b0_is_the_t2_weighted_proton_density_of_the_mixture(te_ms: float) -> None:
    fractions = np.array([0.4, 0.3, 0.2, 0.1])
    dwi = signal(uniform(tuple(fractions), np.array([1.0, 0, 0])), replace(PLAIN, te_ms=te_ms))
    expected = (fractions * PROTON_DENSITY * np.exp(-te_ms / T2_MS)).sum()
    np.testing.assert_allclose(dwi.data[..., dwi.is_b0], expected, rtol=1e-5)


@pytest.mark.parametrize(("b_gain", "radial_gain"), [(1.0, 1.0), (1.1, 1.0), (1.0, 1.2)])
def test_tensor_of_a_single_fibre_is_its_direction_and_diffusivities(
    b_gain: float, radial_gain: float
) -> None:
    direction = np.array([0.6, -0.48, 0.64])
    scanner = replace(PLAIN, b_gain=b_gain, radial_gain=radial_gain)
    tensor = fit(signal(uniform((1, 0, 0, 0), direction), scanner), np.ones(BLOCK, bool))
    assert degrees_between(tensor.evecs[..., 0], direction).max() < 0.1
    expected = b_gain * np.array([1.7e-3, 0.3e-3 * radial_gain, 0.3e-3 * radial_gain])
    np.testing.assert_allclose(
        tensor.evals, np.broadcast_to(expected, tensor.evals.shape), rtol=1e-3
    )


def test_grey_matter_is_slightly_anisotropic_along_the_normal_of_the_cortex() -> None:
    normal = np.array([0.0, 0.6, 0.8])
    tensor = fit(signal(uniform((0, 1, 0, 0), normal), PLAIN), np.ones(BLOCK, bool))
    np.testing.assert_allclose(tensor.fa, 0.1, atol=2e-3)
    np.testing.assert_allclose(tensor.md, 0.8e-3, rtol=1e-3)
    assert degrees_between(tensor.evecs[..., 0], normal).max() < 0.5


def test_gradient_nonlinearity_scales_b_with_the_squared_distance() -> None:
    water = uniform((0, 0, 1, 0), np.array([1.0, 0, 0]))
    table = make_gradient_table(PLAIN)
    scanner = replace(PLAIN, nonlinearity=0.1, psf_mm=0.0)
    offsets = np.zeros((*BLOCK, 3))
    offsets[1, ..., 0] = 50.0
    data = simulate_signal(water, scanner, table, isocentre_mm=offsets, voxel_mm=2.0)
    adc = -np.log(data[..., -1] / data[..., 0]) / 1000
    np.testing.assert_allclose(adc[0], 3e-3, rtol=1e-4)
    np.testing.assert_allclose(adc[1], 3e-3 * (1 + 0.1 * 0.25), rtol=1e-4)


def test_gradient_table_weighs_every_axis_alike_and_belongs_to_its_scanner() -> None:
    table = make_gradient_table(replace(PLAIN, directions=30, table_seed=1))
    other_table = make_gradient_table(replace(PLAIN, directions=30, table_seed=2))
    directions = table.bvecs[table.bvals > 0]
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(directions.T @ directions, 10 * np.eye(3), atol=0.2)
    assert not np.allclose(table.bvecs, other_table.bvecs, atol=0.1)


def test_smooth_field_has_its_standard_deviation_and_its_length() -> None:
    rng = np.random.default_rng(0)
    field = SmoothField.draw(rng, 2.0, length_mm=10.0)
    points = rng.uniform(-500, 500, (20_000, 3))
    assert field.evaluate(points).std() == pytest.approx(2.0, rel=0.05)
    slope = (field.evaluate(points + np.array([0.1, 0, 0])) - field.evaluate(points)) / 0.1
    assert slope.std() == pytest.approx(2.0 / 10, rel=0.4)  # the waves of one axis are 24 draws


def test_truth_is_the_target_scan_where_the_physics_agree(atlas: Atlas) -> None:
    rng = np.random.default_rng(1)
    person = Person.draw(rng)
    session = draw_session(PLAIN, 8.0, rng)
    tissue = session.compute_tissue(atlas, person)
    same_physics = replace(PLAIN, table_seed=9, b0_count=5, snr=10.0, directions=20)
    truth = simulate_true_dwi(tissue, PLAIN, same_physics, session)
    np.testing.assert_array_equal(
        truth.data, simulate_noise_free_dwi(tissue, PLAIN, session, make_gradient_table(PLAIN)).data
    )


def test_truth_has_the_directions_of_the_source_and_the_shells_of_the_target(atlas: Atlas) -> None:
    source = replace(PLAIN, bvalues=(1000.0, 2000.0))
    target = replace(PLAIN, bvalues=(1200.0, 3000.0), te_ms=70.0, b0_count=7, table_seed=8)
    session = draw_session(source, 16.0, np.random.default_rng(1))
    tissue = session.compute_tissue(atlas, NOBODY)
    truth = simulate_true_dwi(tissue, source, target, session)
    bvals = np.repeat([0.0, 1200.0, 3000.0], [2, 12, 12])
    expected = simulate_noise_free_dwi(
        tissue, target, session, GradientTable(bvals, make_gradient_table(source).bvecs)
    )
    np.testing.assert_array_equal(truth.bvals, bvals)
    np.testing.assert_array_equal(truth.data, expected.data)


@pytest.mark.slow
@pytest.mark.parametrize("name", [SOURCE_SESSION, TARGET_SESSION])
def test_written_gradients_point_along_the_fibres_of_the_turned_head(
    atlas: Atlas, name: str, tmp_path: Path
) -> None:
    scanner = replace(SCANNERS[name], directions=20, distortion_mm=0.0)
    turn = Rotation.from_euler(
        "xyz", [25, -15, 20], degrees=True
    ).as_matrix()  # more than any head, to tell signs
    session = replace(
        draw_session(scanner, 4.0, np.random.default_rng(2)), rotation=turn, shift=np.zeros(3)
    )
    tissue = session.compute_tissue(atlas, NOBODY)
    write_raw_dwi(
        tmp_path / "scan",
        simulate_noise_free_dwi(tissue, scanner, session, make_gradient_table(scanner)),
        repetition_time=1.0,
    )

    image = load_image(tmp_path / "scan.nii.gz")
    assert nib.aff2axcodes(image.affine) == ("L", "A", "S")
    bvals = np.loadtxt(tmp_path / "scan.bval")
    # FSL's rule for an image of negative determinant: components along the voxel axes as they are
    bvecs = np.loadtxt(tmp_path / "scan.bvec").T @ (image.affine[:3, :3] / session.voxel_mm).T
    centre = np.array([0.0, -18.0, 8.0])
    world = nib.affines.apply_affine(image.affine, np.moveaxis(np.indices(image.shape[:3]), 0, -1))
    fibres = tract_directions((world - centre) @ turn + centre) @ turn.T
    white = tissue.fractions[::-1, ..., :1] * tissue.fibre_fractions[::-1, ..., :3]
    for system in range(3):
        where = white[..., system] > 0.83
        assert where.sum() > 5
        dwi = Dwi(image.get_fdata(dtype=np.float32), image.affine, bvals, bvecs)
        angles = degrees_between(fit(dwi, where).evecs[..., 0], fibres[where][:, system])
        assert np.median(angles) < 5


def test_background_is_rayleigh_noise_of_the_stated_snr(atlas: Atlas) -> None:
    rng = np.random.default_rng(3)
    session = draw_session(PLAIN, 6.0, rng)
    tissue = session.compute_tissue(atlas, Person.draw(rng))
    clean = simulate_noise_free_dwi(tissue, PLAIN, session, make_gradient_table(PLAIN))
    noisy = simulate_dwi(tissue, PLAIN, session, rng)
    empty = clean.data.max(axis=-1) < 1e-3
    sigma = float(np.median(clean.data[tissue.brain_mask][:, clean.is_b0])) / PLAIN.snr
    assert noise_sigma(clean, tissue, PLAIN) == pytest.approx(sigma)
    assert noisy.data[empty].mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.01)
    bright = np.full((40, 40, 40, 1), 100 * sigma, np.float32)
    assert add_rician_noise(bright, sigma, rng).std() == pytest.approx(sigma, rel=0.02)


@pytest.mark.slow
def test_scanners_differ_by_about_5_percent_in_white_and_15_percent_in_grey_matter(
    atlas: Atlas,
) -> None:
    source = replace(SCANNERS[SOURCE_SESSION], directions=15)
    target = replace(SCANNERS[TARGET_SESSION], directions=15)
    rng = np.random.default_rng(4)
    session = draw_session(source, 4.0, rng)
    tissue = session.compute_tissue(atlas, Person.draw(rng))
    source_dwi = simulate_noise_free_dwi(tissue, source, session, make_gradient_table(source))
    true_dwi = simulate_true_dwi(tissue, source, target, session)
    bounds = {2.0: (0.03, 0.09), 1.0: (0.10, 0.20)}
    for label, (least, most) in bounds.items():
        before = fit(source_dwi, tissue.pure_labels == label)
        truth = fit(true_dwi, tissue.pure_labels == label)
        assert least < before.md.mean() / truth.md.mean() - 1 < most
        assert least < 1 - before.fa.mean() / truth.fa.mean() < most


def test_median_otsu_finds_the_brain_within_scalp_and_noise(atlas: Atlas) -> None:
    rng = np.random.default_rng(5)
    scanner = replace(SCANNERS[SOURCE_SESSION], directions=6)
    session = draw_session(scanner, 4.0, rng)
    tissue = session.compute_tissue(atlas, Person.draw(rng))
    dwi = simulate_dwi(tissue, scanner, session, rng)
    _, mask = median_otsu(dwi.data[..., dwi.is_b0].mean(axis=-1), median_radius=1, numpass=2)
    assert 2 * (mask & tissue.brain_mask).sum() / (mask.sum() + tissue.brain_mask.sum()) > 0.93
    assert WATER_SIGNAL > dwi.data.max() > 1000  # fills 16-bit integers without clipping
