from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float, Int

from bids_shresnet.diffusion.representation import anisotropy, represent_dwi
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
SCANNER = PhantomScanner(
    {}, directions=15, table_seed=3, b0_count=1, te_ms=80.0, psf_mm=3.0, snr=30.0
)


def onion() -> Int[np.ndarray, "x y z"]:
    """White matter within grey matter within fluid, and nothing around."""
    radius = np.linalg.norm(np.moveaxis(np.indices((24, 24, 24)), 0, -1) - 11.5, axis=-1)
    return np.asarray(np.select([radius < 6, radius < 9, radius < 11], [WM, GM, CSF], 0))


def shine(
    truth: Int[np.ndarray, "x y z"], levels: tuple[float, float, float]
) -> Float[np.ndarray, "x y z"]:
    """CSF, grey and white matter at these levels, with noise of a tenth of the range."""
    noise = np.random.default_rng(0).normal(0, 0.1 * np.ptp(levels), truth.shape)
    return np.asarray(np.array([0, levels[1], levels[2], levels[0]])[truth] + noise)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def test_labels_are_those_of_bids() -> None:
    assert {tissue.name: tissue.value for tissue in Tissue} == {"GM": 1, "WM": 2, "CSF": 3}


@pytest.mark.parametrize("levels", [(0.2, 0.5, 0.8), (200.0, 500.0, 800.0), (0.1, 0.3, 0.6)])
def test_three_classes_are_recovered_and_labelled_by_the_order_of_their_brightness(
    levels: tuple[float, float, float],
) -> None:
    truth = onion()
    labels = classify_tissue(shine(truth, levels), truth > 0)
    for tissue in (GM, WM, CSF):
        assert dice(labels == tissue, truth == tissue) > 0.95


def test_outside_the_mask_is_zero_and_inside_is_a_tissue() -> None:
    truth = onion()
    mask = (truth > 0) & (np.arange(24) < 14)
    labels = classify_tissue(shine(truth, (0.2, 0.5, 0.8)), mask)
    np.testing.assert_array_equal(labels > 0, mask)


def test_what_lies_outside_the_mask_does_not_matter() -> None:
    truth = onion()
    image = shine(truth, (0.2, 0.5, 0.8))
    bright = np.where(truth > 0, image, 100.0)
    np.testing.assert_array_equal(
        classify_tissue(bright, truth > 0), classify_tissue(image, truth > 0)
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
    contrast = diffusion_contrast(
        unmask(representation.signal.mean(axis=1), tissue.brain_mask),
        anisotropy(representation.image),
    )
    fluid = tissue.fractions[..., 2] > 0.6
    levels = [
        np.median(contrast[where & tissue.brain_mask])
        for where in (fluid, tissue.pure_labels == GM, tissue.pure_labels == WM)
    ]
    assert levels == sorted(levels)
    labels = classify_tissue(contrast, tissue.brain_mask)
    assert (labels[tissue.pure_labels == WM] == WM).mean() > 0.85
    assert (labels[tissue.pure_labels == GM] == GM).mean() > 0.6  # its rim holds up to 40 % of CSF
    assert (labels[fluid & tissue.brain_mask] == CSF).mean() > 0.95
