from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_shresnet.diffusion.harmonics import basis
from bids_shresnet.diffusion.tensors import fit_relative_tensor
from bids_shresnet.evaluation.agreement import (
    HISTOGRAM_BINS,
    agreement_rows,
    joint_histograms,
    rish_powers,
)
from bids_shresnet.evaluation.quantities import MIN_TISSUE_VOXELS, Quantities
from bids_shresnet.pairs import MatchedVoxels
from bids_shresnet.scans import Shell, Tissue
from tests.datasets import spiral

SHELLS = (Shell(1000.0, 2),)
VOXELS = 4000
PLACE = ("01", 1, "shresnet")


def matched(sigma: float = 0.0) -> tuple[MatchedVoxels, Quantities]:
    """Voxels that all have the same six coefficients, measured in 30 directions with Gaussian noise, and truth."""
    directions = spiral(30)
    matrix = basis(directions, 2)
    truth = np.tile(np.array([1.5, 0.1, -0.05, 0.2, 0.0, 0.1]) @ matrix.T, (VOXELS, 1)).astype(
        np.float32
    )
    noise = np.random.default_rng(0).normal(0, 1, truth.shape).astype(np.float32)
    bvals = np.full(30, 1000.0)
    return MatchedVoxels(
        patches=np.zeros((VOXELS, 27, 7), np.float16),
        signal=truth + sigma * noise,
        bvals=bvals,
        bvecs=directions,
        sh_matrix=matrix,
        noise_variance=np.full(VOXELS, sigma**2, np.float32),
        points=np.zeros((VOXELS, 3)),
        tissue=np.full(VOXELS, Tissue.WM, np.uint8),
    ), look(truth, bvals, directions)


def look(signal: np.ndarray, bvals: np.ndarray, directions: np.ndarray) -> Quantities:
    return Quantities(signal, fit_relative_tensor(signal, bvals, directions))


def test_the_power_of_an_order_is_the_sum_of_its_squared_coefficients() -> None:
    made, truth = matched()
    rows = list(rish_powers(PLACE, made, truth, SHELLS, is_denoised=False))
    assert [(row.tissue, row.bvalue, row.order) for row in rows] == [
        ("WM", 1000.0, 0),
        ("WM", 1000.0, 2),
    ]
    assert [row.power for row in rows] == pytest.approx(
        [1.5**2, 0.1**2 + 0.05**2 + 0.2**2 + 0.1**2], rel=1e-4
    )


def test_a_prediction_without_noise_has_the_power_that_its_measurement_has() -> None:
    """Of 4000 voxels the mean power with noise is known to about a percent; of order 2 a good part is noise."""
    made, truth = matched(sigma=0.06)
    measured = look(made.signal, made.bvals, made.bvecs)
    found, wanted = (
        [row.power for row in rish_powers(PLACE, made, looks, SHELLS, is_denoised=denoised)]
        for looks, denoised in ((truth, True), (measured, False))
    )
    plain = [row.power for row in rish_powers(PLACE, made, truth, SHELLS, is_denoised=False)]
    assert found == pytest.approx(wanted, rel=0.015)
    assert plain[1] < 0.9 * wanted[1]


def test_where_the_noise_is_not_known_none_is_added() -> None:
    made, truth = matched()
    unknown = replace(made, noise_variance=np.full(VOXELS, np.nan, np.float32))
    pair = [
        list(rish_powers(PLACE, unknown, truth, SHELLS, is_denoised=denoised))
        for denoised in (True, False)
    ]
    assert pair[0] == pair[1]


def test_differences_and_counts_are_of_all_voxels_of_a_tissue_and_of_none_where_there_are_too_few() -> (
    None
):
    made, truth = matched(sigma=0.02)
    made.tissue[: MIN_TISSUE_VOXELS - 1] = Tissue.GM
    measured = look(made.signal, made.bvals, made.bvecs)
    white = VOXELS - MIN_TISSUE_VOXELS + 1
    rows = {row.quantity: row for row in agreement_rows(PLACE, made, measured, truth)}
    assert {name: row.value_count for name, row in rows.items()} == {
        "signal": 30 * white,
        "FA": white,
        "MD": white,
    }
    assert {row.tissue for row in rows.values()} == {"WM"}
    assert rows["signal"].deviation == pytest.approx(0.02, rel=0.01)
    counts = joint_histograms(made, measured, truth)
    assert counts.shape == (2, 3, HISTOGRAM_BINS, HISTOGRAM_BINS)
    assert counts.sum(axis=(2, 3)).tolist() == [[30 * white, white, white], [0, 0, 0]]
