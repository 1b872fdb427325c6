from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.diffusion.noise import measure_powers
from bids_shresnet.diffusion.represent import represent_dwi, represent_source
from bids_shresnet.diffusion.tensor_changes import TensorChange, change_dwi, fit_scan_tensors
from bids_shresnet.evaluation.effects.true_tensors import (
    SCALE_RANGE,
    PowerChange,
    estimate_true_tensors,
)
from bids_shresnet.scans import Dwi, Shell, Tissue
from tests.evaluation.tensor_heads import B, head_scan, tissue_labels

SHELLS = (Shell(B, 4),)
LABELS = tissue_labels()
MASK = LABELS > 0
ONES = np.ones(LABELS.shape)
ALL_ROWS = np.ones(4, bool)


def power_of_order_2(dwi: Dwi) -> Float[np.ndarray, " v"]:
    [(powers, _)] = measure_powers(represent_dwi(dwi, MASK, SHELLS))
    return powers[:, 1]


def power_change(found: float, asked: float, power: float = 2.0) -> PowerChange:
    return PowerChange(*(np.full((4, 1), value) for value in (power, found, 10.0, asked)))


@pytest.mark.slow
@pytest.mark.parametrize("tissue", [Tissue.GM, Tissue.WM])
def test_a_change_takes_as_much_power_from_a_noisy_scan_as_from_one_without_noise(
    tissue: Tissue,
) -> None:
    clean, noisy = (head_scan(sigma=sigma) for sigma in (0.0, 0.03))
    representation = represent_source(noisy.dwi, MASK, SHELLS)
    tensors = estimate_true_tensors(noisy, representation, LABELS)
    change = TensorChange(0.85 * ONES, ONES)
    rows = LABELS[MASK] == tissue
    taken = []
    for scan, own in ((clean, fit_scan_tensors(clean.dwi, MASK)), (noisy, tensors)):
        changed = change_dwi(scan.dwi, MASK, change, own)
        difference = power_of_order_2(scan.dwi) - power_of_order_2(changed)
        taken.append(difference[rows].mean())
    assert taken[1] == pytest.approx(taken[0], rel=0.05)


def test_tensors_that_take_half_of_the_power_asked_for_are_made_twice_as_anisotropic() -> None:
    assert power_change(found=-0.2, asked=-2.0).find_scales(ALL_ROWS) == pytest.approx([2.0])
    assert power_change(found=-0.4, asked=-2.0).find_scales(ALL_ROWS) == pytest.approx([1.0])


def test_voxels_of_unknown_power_do_not_count() -> None:
    change = power_change(found=-0.2, asked=-2.0)
    change.power[1], change.found[1] = np.nan, -5.0
    assert change.find_scales(ALL_ROWS) == pytest.approx([2.0])


@pytest.mark.parametrize(
    ("change", "scale"),
    [
        (power_change(found=0.1, asked=-2.0), 1.0),
        (power_change(found=-0.4, asked=-2.0, power=np.nan), 1.0),
        (power_change(found=-0.4, asked=-2.0, power=0.1), SCALE_RANGE[0]),
        (power_change(found=-0.001, asked=-2.0), SCALE_RANGE[1]),
    ],
)
def test_scales_are_limited_and_one_where_nothing_is_known(
    change: PowerChange, scale: float
) -> None:
    assert change.find_scales(ALL_ROWS) == pytest.approx([scale])
