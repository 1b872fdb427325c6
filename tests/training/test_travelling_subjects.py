from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bids_shresnet.io.arrays import read_array_record
from bids_shresnet.pairs import MatchedVoxels, TravellingSubject, UnharmonizedData
from bids_shresnet.scans import Shell, ShImage
from bids_shresnet.training.travelling_subjects import (
    open_travelling_subject,
    write_travelling_subject,
)
from tests.datasets import AFFINE, spiral

SHELLS = (Shell(1000.0, 2), Shell(2000.0, 4))


@pytest.fixture
def subject() -> TravellingSubject:
    """Every array has its own numbers."""
    rng = np.random.default_rng(0)
    mask = rng.uniform(size=(3, 4, 5)) > 0.5
    coefficients = rng.standard_normal((*mask.shape, 21)).astype(np.float32)
    contrast = rng.standard_normal(mask.shape).astype(np.float32)
    matched = MatchedVoxels(
        patches=rng.standard_normal((7, 27, 22)).astype(np.float16),
        signal=rng.random((7, 9)).astype(np.float16),
        bvals=np.array([1000.0] * 4 + [2000.0] * 5),
        bvecs=spiral(9),
        sh_matrix=rng.standard_normal((9, 21)).astype(np.float32),
        noise_variance=rng.random(7).astype(np.float32),
        source_s0=rng.random(7).astype(np.float32),
        points=rng.standard_normal((7, 3)).astype(np.float32),
        tissue=rng.integers(0, 4, 7).astype(np.uint8),
    )
    unharmonized = UnharmonizedData(
        source_coefficients=rng.standard_normal((7, 21)).astype(np.float32),
        source_maps=rng.random((*mask.shape, 2)).astype(np.float32),
        target_maps=rng.random((7, 2)).astype(np.float32),
        target_tensor_bvals=np.array([0.0, 1000.0]),
    )
    missing = replace(
        matched,
        signal=rng.random((7, 6)).astype(np.float16),
        bvals=np.full(6, 3000.0),
        bvecs=spiral(6),
        sh_matrix=rng.standard_normal((6, 6)).astype(np.float32),
    )
    denoised = rng.standard_normal((7, 27, 21)).astype(np.float16)
    half = replace(matched, denoised_patches=denoised)
    halves = [replace(half, signal=rng.random((7, 9)).astype(np.float16)) for _ in range(4)]
    power = rng.random((*mask.shape, 2)).astype(np.float32)
    image = ShImage(coefficients, mask, AFFINE, SHELLS, contrast, power)
    return TravellingSubject(
        image,
        matched,
        unharmonized,
        rng.standard_normal((mask.sum(), 21)).astype(np.float16),
        missing,
        tuple(halves[:2]),
        tuple(halves[2:]),
        regions=rng.integers(0, 50, 7).astype(np.int32),
    )


def assert_equal_arrays(before: Any, after: Any) -> None:
    for name in {field.name for field in fields(before)} - {"shells"}:
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name), strict=True)


def test_a_subject_without_missing_shells_halves_and_regions_comes_back_without(
    subject: TravellingSubject, tmp_path: Path
) -> None:
    plain = TravellingSubject(
        replace(subject.source, order_2_power=None),
        subject.matched,
        subject.unharmonized,
        subject.source_denoised,
    )
    write_travelling_subject(tmp_path, plain, {})
    opened = open_travelling_subject(tmp_path, SHELLS)
    assert opened.source.order_2_power is None
    assert opened.missing_shells is None
    assert opened.regions is None
    assert opened.source_halves == opened.target_halves == ()


def test_a_subject_comes_back_to_the_last_bit(subject: TravellingSubject, tmp_path: Path) -> None:
    write_travelling_subject(tmp_path, subject, {"inputs": "abc"})
    opened = open_travelling_subject(tmp_path, SHELLS)
    assert opened.source.shells == SHELLS
    for name in ("source", "matched", "unharmonized", "missing_shells"):
        assert_equal_arrays(getattr(subject, name), getattr(opened, name))
    for name in ("source_halves", "target_halves"):
        for before, after in zip(getattr(subject, name), getattr(opened, name), strict=True):
            assert_equal_arrays(before, after)
    for name in ("regions", "source_denoised"):
        expected = getattr(subject, name)
        np.testing.assert_array_equal(getattr(opened, name), expected, strict=True)
    assert read_array_record(tmp_path) == {"inputs": "abc"}


def test_arrays_stay_on_disk_and_cannot_be_written_to(
    subject: TravellingSubject, tmp_path: Path
) -> None:
    write_travelling_subject(tmp_path, subject, {})
    opened = open_travelling_subject(tmp_path, SHELLS)
    maps = opened.unharmonized.source_maps
    for array in (opened.matched.patches, opened.source.coefficients, maps):
        assert isinstance(array, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
