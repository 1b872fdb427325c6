from __future__ import annotations

import numpy as np

from benchmarks.null_pair import split_dwi
from bids_shresnet.scans import Dwi
from tests.diffusion.heads import make_dwi, sphere


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
