from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bids_shresnet.methods.golkov import fit_golkov
from bids_shresnet.network.patches import rows_to_patches
from tests.methods.heads import QUICK, error, head, lesson, patches_of, scaled, travelling

SCHEDULE = replace(QUICK, adam_learning_rate=3e-3, max_epochs=15)


@pytest.mark.slow
def test_a_scanner_that_scales_each_order_is_undone_in_a_head_never_seen() -> None:
    subjects = [travelling(head(seed)) for seed in (1, 2, 3)]
    fitted, unseen = fit_golkov(lesson(subjects[:2], subjects[2], schedule=SCHEDULE)), head(4)
    truth = scaled(patches_of(unseen)[..., :6])
    assert error(fitted.harmonizer.predict(unseen), truth) < 0.25 * error(
        unseen.coefficients[unseen.mask], truth
    )
    assert fitted.best_epoch == min(fitted.epochs, key=lambda epoch: epoch.validation_loss).epoch


def test_a_scan_is_predicted_voxel_by_voxel_as_the_network_says() -> None:
    quick = replace(QUICK, max_epochs=1, voxels_per_epoch=50)
    found, image = fit_golkov(lesson([travelling(head(1))], schedule=quick)).harmonizer, head(2)
    with torch.no_grad():
        expected = found.network(rows_to_patches(torch.from_numpy(patches_of(image))))
    np.testing.assert_allclose(found.predict(image), expected, rtol=1e-5, atol=1e-6)
