from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.null_pair import find_violations, split_dwi
from bids_shresnet.evaluation.results import QUANTITIES, TISSUES
from bids_shresnet.scans import Dwi
from tests.diffusion.heads import make_dwi, sphere
from tests.report.cross_validations import cross_validation, held_out_results


def test_the_halves_of_a_scan_share_no_volume_and_hold_all() -> None:
    rng = np.random.default_rng(0)
    plain = make_dwi(rng.uniform(0.2, 0.8, (2, 2, 2, 20)), np.full(20, 1000.0), sphere(20))
    order = [*range(0, 21, 2), *range(1, 21, 2), 0]  # two b0 volumes among others
    dwi = Dwi(plain.data[..., order], plain.affine, plain.bvals[order], plain.bvecs[order])
    dwi.data[..., -1] += 1
    halves = split_dwi(dwi)
    assert [int(half.is_b0.sum()) for half in halves] == [1, 1]
    assert [len(half.bvals) for half in halves] == [11, 11]
    volumes = np.concatenate([half.data.reshape(8, -1) for half in halves], axis=1)
    np.testing.assert_array_equal(
        np.sort(volumes, axis=1), np.sort(dwi.data.reshape(8, -1), axis=1)
    )
    tables = np.concatenate([half.bvecs for half in halves])
    np.testing.assert_array_equal(np.unique(tables, axis=0), np.unique(dwi.bvecs, axis=0))


@pytest.mark.parametrize(
    ("errors", "violations"),
    [
        ({"no_harmonization": 0.1, "denoised": 0.008, "shresnet": 0.01}, []),
        (
            {"no_harmonization": 0.1, "denoised": 0.02, "shresnet": 0.01},
            ["validated to be better than denoising"],
        ),
    ],
)
def test_better_than_denoising_is_a_violation_where_nothing_was_to_be_learned(
    errors: dict[str, float], violations: list[str], tmp_path: Path
) -> None:
    plain = cross_validation(tmp_path, 6)
    assert find_violations(replace(plain, rows=held_out_results(errors, 6))) == violations


def test_a_bias_is_a_violation_where_scanners_are_alike(tmp_path: Path) -> None:
    errors = {"no_harmonization": 0.1, "denoised": 0.03, "shresnet": 0.04}
    plain = cross_validation(tmp_path, 6)
    violations = find_violations(replace(plain, rows=held_out_results(errors, 6)))
    assert violations[0] == "bias of signal in WM: +2.00%"
    assert len(violations) == len(TISSUES) * len(QUANTITIES)
