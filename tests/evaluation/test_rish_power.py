from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_shresnet.evaluation.quantities import Quantities
from bids_shresnet.evaluation.results import HeldOutRow
from bids_shresnet.evaluation.rish_power import RishPower, rish_powers
from bids_shresnet.pairs import MatchedVoxels
from bids_shresnet.scans import Shell
from tests.evaluation.voxels import COEFFICIENTS, VOXELS, measured_quantities, uniform_voxels

ROW = HeldOutRow(subject="01", fold=1, method="shresnet")
SHELLS = (Shell(1000.0, 2),)


def powers(
    matched: MatchedVoxels, quantities: Quantities, *, is_denoised: bool = False
) -> list[RishPower]:
    return list(rish_powers(ROW, matched, quantities, SHELLS, is_denoised=is_denoised))


def test_the_power_of_an_order_is_the_sum_of_its_squared_coefficients() -> None:
    rows = powers(*uniform_voxels())
    endpoints = [(row.tissue, row.bvalue, row.order) for row in rows]
    assert endpoints == [("WM", 1000.0, 0), ("WM", 1000.0, 2)]
    squares = np.square(COEFFICIENTS)
    expected = [squares[0], squares[1:].sum()]
    assert [row.power for row in rows] == pytest.approx(expected, rel=1e-4)


def test_a_denoised_prediction_gets_the_power_of_the_measurements_noise() -> None:
    """4000 voxels give the mean to about a percent; a good part of order 2 is noise."""
    matched, truth = uniform_voxels(sigma=0.06)
    measured = [row.power for row in powers(matched, measured_quantities(matched))]
    denoised = [row.power for row in powers(matched, truth, is_denoised=True)]
    plain = [row.power for row in powers(matched, truth)]
    assert denoised == pytest.approx(measured, rel=0.015)
    assert plain[1] < 0.9 * measured[1]


def test_unknown_noise_adds_no_power() -> None:
    matched, truth = uniform_voxels()
    unknown = replace(matched, noise_variance=np.full(VOXELS, np.nan, np.float32))
    assert powers(unknown, truth, is_denoised=True) == powers(unknown, truth)
