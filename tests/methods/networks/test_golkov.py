from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bids_shresnet.methods.networks.golkov import fit_golkov
from bids_shresnet.network.patches import rows_to_patches
from tests.methods.heads import QUICK, error, fit_task, head, mask_patches, scaled, travelling

CONFIG = replace(QUICK, adam_learning_rate=3e-3, max_epochs=15)


@pytest.mark.slow
def test_a_scanner_that_scales_each_order_is_undone_in_a_held_out_head() -> None:
    subjects = [travelling(head(seed)) for seed in (1, 2, 3)]
    fitted = fit_golkov(fit_task(subjects[:2], subjects[2], training_config=CONFIG))
    held_out = head(4)
    truth = scaled(mask_patches(held_out)[..., :6])
    input_error = error(held_out.coefficients[held_out.mask], truth)
    assert error(fitted.harmonizer.predict(held_out), truth) < 0.25 * input_error
    assert fitted.best_epoch == min(fitted.epochs, key=lambda epoch: epoch.loss).epoch


def test_a_scan_is_predicted_voxel_by_voxel_with_the_network() -> None:
    quick = replace(QUICK, max_epochs=1, voxels_per_epoch=50)
    task = fit_task([travelling(head(1))], training_config=quick)
    harmonizer = fit_golkov(task).harmonizer
    image = head(2)
    with torch.no_grad():
        expected = harmonizer.network(rows_to_patches(torch.from_numpy(mask_patches(image))))
    np.testing.assert_allclose(harmonizer.predict(image), expected, rtol=1e-5, atol=1e-6)
