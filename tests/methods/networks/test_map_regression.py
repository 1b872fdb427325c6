from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.methods.networks import map_regression
from bids_shresnet.methods.networks.map_regression import fit_map_regression, load_map_regression
from bids_shresnet.pairs import TravellingSubject
from bids_shresnet.scans import ShImage
from tests.methods.heads import fit_task, head, travelling

GRID = (18, 18, 18)


def true_maps(image: ShImage) -> Float[np.ndarray, "v 2"]:
    """FA and MD of the target that depend on the lengths of order 2 and order 0."""
    coefficients = image.coefficients[image.mask]
    amplitude = np.linalg.norm(coefficients[:, 1:], axis=1)
    fa = amplitude / (amplitude + 0.4)
    return np.stack([fa, 1e-3 * (2 - coefficients[:, 0] / np.sqrt(np.pi))], axis=1)


def with_maps(seed: int, noise: float = 0.0) -> TravellingSubject:
    """A head whose target measures these maps with noise."""
    image = head(seed, GRID)
    maps = true_maps(image)
    maps *= 1 + noise * np.random.default_rng(seed).standard_normal(maps.shape)
    subject = travelling(image)
    unharmonized = replace(subject.unharmonized, target_maps=maps.astype(np.float32))
    return replace(subject, unharmonized=unharmonized)


def test_maps_of_the_target_are_found_in_a_held_out_head() -> None:
    task = fit_task([with_maps(seed, noise=0.1) for seed in (1, 2, 3)])
    result = fit_map_regression(task)
    image = head(4, GRID)
    truth = true_maps(image)
    error = result.harmonizer.predict(image) - truth
    assert (np.abs(error.mean(axis=0)) < 0.02 * truth.mean(axis=0)).all()
    assert (error.std(axis=0) < 0.5 * truth.std(axis=0)).all()
    assert result.notes is not None
    assert result.notes["loss"] < 0.5


def test_it_is_loaded_as_it_was_fitted() -> None:
    fitted = fit_map_regression(fit_task([with_maps(1)])).harmonizer
    loaded = load_map_regression(fitted.arrays(), fitted.record())
    image = head(2, GRID)
    np.testing.assert_array_equal(loaded.predict(image), fitted.predict(image))


def test_some_voxels_are_drawn_from_large_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of both subjects: maps that agree with their own patches are learned."""
    monkeypatch.setattr(map_regression, "MAX_VOXELS", 3000)
    harmonizer = fit_map_regression(fit_task([with_maps(1), with_maps(2)])).harmonizer
    image = head(4, GRID)
    correlation = np.corrcoef(harmonizer.predict(image)[:, 0], true_maps(image)[:, 0])[0, 1]
    assert correlation > 0.8
