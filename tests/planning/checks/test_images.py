from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.phantom.raw_files import write_raw_dwi
from bids_shresnet.planning.checks.images import ImageCheckJob, check_image
from bids_shresnet.scans import Dwi
from tests.datasets import spiral
from tests.factories import make_scan

SIZE, VOXEL_MM = 32, 2.0
BVALS = np.array([0.0, *[1000.0] * 15])


def fibres() -> Dwi:
    """Thin straight fibres in fluid, drawn at random."""
    rng = np.random.default_rng(7)
    world = np.moveaxis(np.indices((SIZE,) * 3), 0, -1) * VOXEL_MM
    bvecs = spiral(16) * (BVALS > 0)[:, None]
    data = np.broadcast_to(1000 * np.exp(-BVALS * 1e-3), (SIZE, SIZE, SIZE, 16)).astype(np.float32)
    for _ in range(60):
        along, through = rng.standard_normal(3), rng.uniform(0, SIZE * VOXEL_MM, 3)
        along /= np.linalg.norm(along)
        near = np.linalg.norm(np.cross(world - through, along), axis=-1) < VOXEL_MM
        data[near] = 1000 * np.exp(-BVALS * (0.3e-3 + 1.4e-3 * (bvecs @ along) ** 2))
    return Dwi(data, np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1]), BVALS, bvecs)


@pytest.mark.parametrize(
    ("order", "told"), [((0, 1, 2), None), ((1, 0, 2), "swap x and y"), ((0, 1, -2), "flip z")]
)
def test_a_wrong_table_is_told_in_the_axes_of_its_own_file(
    tmp_path: Path, order: tuple[int, int, int], told: str | None
) -> None:
    """Of an image in LAS order, where these are neither the world's nor the canonical grid's."""
    write_raw_dwi(tmp_path / "x", fibres(), repetition_time=1.0)
    bvec = tmp_path / "x.bvec"
    rows = np.loadtxt(bvec)[np.abs(order)] * np.where(np.array(order) < 0, -1, 1)[:, None]
    bvec.write_text("\n".join(" ".join(f"{value:.6f}" for value in row) for row in rows))
    scan = make_scan(tmp_path / "x")
    findings = check_image(ImageCheckJob(scan, should_check_bvecs=True))
    assert [(f.severity, f.file) for f in findings] == [("warning", str(bvec))] * (told is not None)
    assert all(f"if you {told} in the b-vectors" in finding.value for finding in findings)
    assert check_image(ImageCheckJob(scan, should_check_bvecs=False)) == []
