from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float, Int

from bids_shresnet.diffusion.represent import represent_dwi
from bids_shresnet.diffusion.representation import anisotropy
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tissue import classify_tissue, diffusion_contrast
from bids_shresnet.phantom.anatomy import Person
from bids_shresnet.phantom.head import simulate_dwi
from bids_shresnet.phantom.scanner import PhantomScanner
from bids_shresnet.scans import Shell, Tissue
from tests.diffusion.heads import atlas, lay_down

# BIDS, "common image-derived labels"
GM = 1
WM = 2
CSF = 3
MIXED = 4  # of this test
SCANNER = PhantomScanner(
    {}, directions=15, table_seed=3, b0_count=1, te_ms=80.0, psf_mm=3.0, snr=30.0
)


def onion() -> Int[np.ndarray, "x y z"]:
    """White matter, then a third of it of mixture, two thirds of it of grey matter, and fluid."""
    radius = np.linalg.norm(np.moveaxis(np.indices((28, 28, 28)), 0, -1) - 13.5, axis=-1)
    white, mixed, grey = 8 * np.cbrt([1, 4 / 3, 2])
    shells = [radius < white, radius < mixed, radius < grey, radius < 12]
    return np.asarray(np.select(shells, [WM, MIXED, GM, CSF], 0))


def measure(
    truth: Int[np.ndarray, "x y z"], noise: float = 0.02
) -> tuple[Float[np.ndarray, "x y z"], Float[np.ndarray, "x y z"]]:
    """Mean signal and anisotropy of the three tissues and the mixture, with noise."""
    rng = np.random.default_rng(0)
    mean = np.array([0, 0.35, 0.4, 0.05, 0.37])[truth] + 0.01 * rng.standard_normal(truth.shape)
    anisotropy = np.array([0, 0.05, 0.2, 0.1, 0.12])[truth] + noise * rng.random(truth.shape)
    return mean, anisotropy


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def test_labels_are_those_of_bids() -> None:
    assert {tissue.name: tissue.value for tissue in Tissue} == {"GM": 1, "WM": 2, "CSF": 3}


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (0.3, 0.0), (1.0, 0.4)])
def test_three_tissues_are_recovered_at_any_gain_and_noise_floor_of_the_anisotropy(
    gain: float, offset: float
) -> None:
    truth = onion()
    mean, anisotropy = measure(truth)
    labels = classify_tissue(mean, gain * anisotropy + offset, truth > 0)
    for tissue in (GM, WM, CSF):
        assert dice(labels == tissue, truth == tissue) > 0.85


@pytest.mark.parametrize("exponent", [0.8, 2.5])
def test_csf_does_not_depend_on_the_b_value(exponent: float) -> None:
    truth = onion()
    mean, anisotropy = measure(truth)
    labels = classify_tissue(np.maximum(mean, 0.02) ** exponent, anisotropy, truth > 0)
    np.testing.assert_array_equal(labels == CSF, truth == CSF)


def test_noise_of_single_voxels_does_not_speckle_white_matter() -> None:
    truth = onion()
    mean, anisotropy = measure(truth, noise=0.25)
    labels = classify_tissue(mean, anisotropy, truth > 0)
    threshold = np.median(anisotropy[(truth > 0) & (truth != CSF)])
    assert dice(labels == WM, truth == WM) > dice((anisotropy > threshold), truth == WM) + 0.05


def test_outside_the_mask_is_zero_and_a_sixth_of_what_is_not_csf_is_neither() -> None:
    truth = onion()
    mask = (truth > 0) & (np.arange(28) < 16)
    mean, anisotropy = measure(truth)
    labels = classify_tissue(mean, anisotropy, mask)
    assert not labels[~mask].any()
    assert (labels[mask & (truth != CSF)] == 0).mean() == pytest.approx(1 / 6, abs=0.01)


def test_an_empty_mask_has_no_tissue() -> None:
    truth = onion()
    mean, anisotropy = measure(truth)
    assert not classify_tissue(mean, anisotropy, np.zeros(truth.shape, bool)).any()


def test_what_lies_outside_the_mask_does_not_matter() -> None:
    truth = onion()
    mean, anisotropy = measure(truth)
    bright_mean = np.where(truth > 0, mean, 100.0)
    bright_anisotropy = np.where(truth > 0, anisotropy, 100.0)
    np.testing.assert_array_equal(
        classify_tissue(bright_mean, bright_anisotropy, truth > 0),
        classify_tissue(mean, anisotropy, truth > 0),
    )


def test_contrast_is_the_mean_signal_lifted_by_the_anisotropy() -> None:
    mean = np.full((1, 1, 3), 0.4)
    anisotropic = np.array([[[0.0, 0.25, 1.0]]])
    np.testing.assert_allclose(diffusion_contrast(mean, anisotropic), [[[0.4, 0.5, 0.8]]])


@pytest.mark.slow
def test_tissue_of_the_phantom_is_found_from_its_diffusion_alone() -> None:
    rng = np.random.default_rng(2)
    session = lay_down(4.0)
    tissue = session.compute_tissue(atlas(), Person.draw(rng))
    representation = represent_dwi(
        simulate_dwi(tissue, SCANNER, session, rng), tissue.brain_mask, (Shell(1000.0, 4),)
    )
    mean_signal = unmask(representation.signal.mean(axis=1), tissue.brain_mask)
    contrast = diffusion_contrast(mean_signal, anisotropy(representation.image))
    fluid = tissue.fractions[..., 2] > 0.6
    levels = [
        np.median(contrast[where & tissue.brain_mask])
        for where in (fluid, tissue.pure_labels == GM, tissue.pure_labels == WM)
    ]
    assert levels == sorted(levels)
    labels = classify_tissue(mean_signal, anisotropy(representation.image), tissue.brain_mask)
    white_share = tissue.fractions[..., 0]
    grey_share = tissue.fractions[..., 1]
    assert white_share[labels == WM].mean() > 0.65
    assert grey_share[labels == GM].mean() > 1.2 * grey_share[tissue.brain_mask & ~fluid].mean()
    assert white_share[labels == GM].mean() < 0.15
    assert (labels[fluid & tissue.brain_mask] == CSF).mean() > 0.95
