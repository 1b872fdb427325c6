from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from jaxtyping import Float

from bids_shresnet.io.gradients.gradient_tables import read_gradient_table, write_gradient_table
from bids_shresnet.io.gradients.mrtrix import read_b_table
from bids_shresnet.scans import BvecAxes, Dwi
from tests.datasets import spiral
from tests.factories import make_scan
from tests.io.grids import grids

BVALS = np.array([0.0] + [1000.0] * 7)
WORLD = np.concatenate([np.zeros((1, 3)), spiral(7)])
DWI = Dwi(np.zeros((1, 1, 1, 8), np.float32), np.eye(4), BVALS, WORLD)


@pytest.mark.slow
@pytest.mark.parametrize("has_b_table", [False, True])
@pytest.mark.parametrize("axes", ["fsl", "image"])
@given(affine=grids())
def test_a_table_is_read_as_it_was_written_on_any_grid(
    axes: BvecAxes,
    has_b_table: bool,
    affine: Float[np.ndarray, "4 4"],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    stem = tmp_path_factory.getbasetemp() / f"{axes}_{has_b_table}_dwi"
    write_gradient_table(stem, DWI, affine, bvec_axes=axes, has_b_table=has_b_table)
    scan = make_scan(stem, bvals=tuple(BVALS), bvec_axes=axes)
    if has_b_table:
        scan = replace(scan, b_table=stem.with_name(f"{stem.name}.b"))
    bvals, bvecs = read_gradient_table(scan, affine)
    np.testing.assert_array_equal(bvals, BVALS)
    np.testing.assert_allclose(bvecs, WORLD, atol=2e-6)


@pytest.mark.slow
@given(affine=grids())
def test_components_along_image_axes_are_those_of_nibabel(
    affine: Float[np.ndarray, "4 4"], tmp_path_factory: pytest.TempPathFactory
) -> None:
    stem = tmp_path_factory.getbasetemp() / "image_dwi"
    write_gradient_table(stem, DWI, affine, bvec_axes="image", has_b_table=False)
    components = WORLD @ affine[:3, :3] / nib.affines.voxel_sizes(affine)
    np.testing.assert_allclose(np.loadtxt(f"{stem}.bvec").T, components, atol=1e-4)
    assert not Path(f"{stem}.b").exists()


def test_a_b_table_holds_world_directions_and_b_values(tmp_path: Path) -> None:
    lps = np.diag([-2.0, -2.0, 2.0, 1.0])
    write_gradient_table(tmp_path / "dwi", DWI, lps, bvec_axes="image", has_b_table=True)
    np.testing.assert_allclose(read_b_table(tmp_path / "dwi.b"), WORLD, atol=1e-6)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "dwi.b")[:, 3], BVALS)
