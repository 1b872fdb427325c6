from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.io.arrays import read_array_record
from bids_shresnet.pairs import Matched, Travelling, Unharmonized
from bids_shresnet.scans import Shell, ShImage
from bids_shresnet.training.travelling import open_travelling, write_travelling
from tests.datasets import AFFINE, spiral

SHELLS = (Shell(1000.0, 2), Shell(2000.0, 4))


@pytest.fixture
def subject() -> Travelling:
    """Every array has its own numbers."""
    rng = np.random.default_rng(0)
    mask = rng.uniform(size=(3, 4, 5)) > 0.5
    coefficients, contrast = (rng.standard_normal((*mask.shape, *n)).astype(np.float32) for n in ((21,), ()))
    matched = Matched(
        patches=rng.standard_normal((7, 27, 22)).astype(np.float16),
        signal=rng.random((7, 9)).astype(np.float16),
        bvals=np.array([1000.0] * 4 + [2000.0] * 5),
        bvecs=spiral(9),
        matrix=rng.standard_normal((9, 21)).astype(np.float32),
        noise=rng.random(7).astype(np.float32),
        points=rng.standard_normal((7, 3)).astype(np.float32),
        tissue=rng.integers(0, 4, 7).astype(np.uint8),
    )
    plain = Unharmonized(
        coefficients=rng.standard_normal((7, 21)).astype(np.float32),
        maps=rng.random((*mask.shape, 2)).astype(np.float32),
        target=rng.random((7, 2)).astype(np.float32),
    )
    missing = replace(
        matched,
        signal=rng.random((7, 6)).astype(np.float16),
        bvals=np.full(6, 3000.0),
        bvecs=spiral(6),
        matrix=rng.standard_normal((6, 6)).astype(np.float32),
    )
    return Travelling(ShImage(coefficients, mask, AFFINE, SHELLS, contrast), matched, plain, missing)


def test_a_subject_without_missing_shells_comes_back_without(subject: Travelling, tmp_path: Path) -> None:
    write_travelling(tmp_path, replace(subject, missing=None), {})
    assert open_travelling(tmp_path, SHELLS).missing is None


def test_a_subject_comes_back_to_the_last_bit(subject: Travelling, tmp_path: Path) -> None:
    write_travelling(tmp_path, subject, {"inputs": "abc"})
    found = open_travelling(tmp_path, SHELLS)
    assert found.source.shells == SHELLS
    for part in fields(Travelling):
        before, after = getattr(subject, part.name), getattr(found, part.name)
        for field in fields(before):
            if field.name != "shells":
                np.testing.assert_array_equal(getattr(after, field.name), getattr(before, field.name), strict=True)
    assert read_array_record(tmp_path) == {"inputs": "abc"}


def test_arrays_stay_on_disk_and_cannot_be_written_to(subject: Travelling, tmp_path: Path) -> None:
    write_travelling(tmp_path, subject, {})
    found = open_travelling(tmp_path, SHELLS)
    for array in (found.matched.patches, found.source.coefficients, found.unharmonized.maps):
        assert isinstance(array, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
