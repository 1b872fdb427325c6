from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.diffusion.spatial.template import Template
from bids_shresnet.methods.template.known_positions import locate_once
from bids_shresnet.scans import Shell, ShImage

GRID = (4, 5, 6)
POINTS = np.random.default_rng(0).uniform(0, 4, (7, 3))
AFFINE = np.eye(4)


def head(seed: int = 0) -> ShImage:
    rng = np.random.default_rng(seed)
    coefficients = rng.uniform(0.5, 1, (*GRID, 6)).astype(np.float32)
    contrast = rng.uniform(size=GRID).astype(np.float32)
    return ShImage(coefficients, np.ones(GRID, bool), AFFINE, (Shell(1000.0, 2),), contrast)


def template(seed: int = 0) -> Template:
    return Template(np.random.default_rng(seed).uniform(size=(*GRID, 3)), AFFINE)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Registrations that were run; each moves all points by another step."""
    done: list[int] = []

    def locate(
        self: Template, image: ShImage, points: Float[np.ndarray, "p 3"]
    ) -> Float[np.ndarray, "p 3"]:
        done.append(1)
        return points + len(done)

    monkeypatch.setattr(Template, "locate", locate)
    return done


def test_equal_heads_are_registered_once_and_get_the_same_bits(
    tmp_path: Path, calls: list[int]
) -> None:
    first = locate_once(tmp_path / "new", template(), head(), POINTS)
    again = locate_once(tmp_path / "new", template(), head(), POINTS.copy())
    assert len(calls) == 1
    np.testing.assert_array_equal(first, POINTS + 1)
    np.testing.assert_array_equal(again, first)


def test_whatever_differs_is_registered_again(tmp_path: Path, calls: list[int]) -> None:
    moved = AFFINE.copy()
    moved[0, 3] = 1
    inputs = [
        (template(), head(), POINTS),
        (template(1), head(), POINTS),
        (Template(template().contrasts, moved), head(), POINTS),
        (template(), head(1), POINTS),
        (template(), replace(head(), affine=moved), POINTS),
        (template(), head(), POINTS[:-1]),
    ]
    for number, arguments in enumerate(inputs, 1):
        np.testing.assert_array_equal(locate_once(tmp_path, *arguments), arguments[2] + number)
    assert len(calls) == len(inputs)
