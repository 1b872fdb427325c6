from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.phantom.raw_files import write_raw_dwi
from bids_shresnet.planning.checks.images import ImageCheckJob, check_image
from bids_shresnet.scans import Dwi, Scan
from tests.datasets import spiral
from tests.factories import make_scan

SIZE = 32  # voxels along each axis
VOXEL_MM = 2.0
BVALS = np.array([0.0, *[1000.0] * 15])  # s/mm2


def simulate_fibres() -> Dwi:
    """Simulate thin straight fibres in fluid at random positions."""
    rng = np.random.default_rng(7)
    positions = np.moveaxis(np.indices((SIZE,) * 3), 0, -1) * VOXEL_MM
    bvecs = spiral(16) * (BVALS > 0)[:, None]
    fluid = 1000 * np.exp(-BVALS * 1e-3)
    data = np.broadcast_to(fluid, (SIZE, SIZE, SIZE, 16)).astype(np.float32)
    for _ in range(60):
        direction = rng.standard_normal(3)
        point = rng.uniform(0, SIZE * VOXEL_MM, 3)
        direction /= np.linalg.norm(direction)
        distance = np.linalg.norm(np.cross(positions - point, direction), axis=-1)
        diffusivity = 0.3e-3 + 1.4e-3 * (bvecs @ direction) ** 2
        data[distance < VOXEL_MM] = 1000 * np.exp(-BVALS * diffusivity)
    return Dwi(data, np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1]), BVALS, bvecs)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    """A scan in LAS order: its axes are neither the world's nor those of the canonical grid."""
    folder = tmp_path_factory.mktemp("fibres")
    write_raw_dwi(folder / "x", simulate_fibres(), repetition_time=1.0)
    return make_scan(folder / "x")


def test_a_scan_whose_b0_volume_is_empty_is_an_error_and_nothing_else_is_said(
    tmp_path: Path,
) -> None:
    data = np.random.default_rng(0).uniform(100, 200, (4, 4, 4, 16)).astype(np.float32)
    data[..., BVALS == 0] = 0
    dwi = Dwi(data, np.diag([2.0, 2.0, 2.0, 1.0]), BVALS, spiral(16) * (BVALS > 0)[:, None])
    write_raw_dwi(tmp_path / "x", dwi, repetition_time=1.0)
    (finding,) = check_image(ImageCheckJob(make_scan(tmp_path / "x")))
    assert (finding.severity, finding.file) == ("error", str(tmp_path / "x.nii.gz"))
    assert finding.value == "the b=0 volumes hold no signal"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "change"),
    [((0, 1, 2), None), ((1, 0, 2), "swap x and y"), ((0, 1, -2), "flip z")],
)
def test_a_wrong_table_is_described_along_the_axes_of_its_file(
    scan: Scan, tmp_path: Path, order: tuple[int, int, int], change: str | None
) -> None:
    signs = np.where(np.array(order) < 0, -1, 1)
    bvec = tmp_path / "x.bvec"
    np.savetxt(bvec, np.loadtxt(scan.bvec)[np.abs(order)] * signs[:, None], fmt="%.6f")
    scan = replace(scan, bvec=bvec)
    findings = check_image(ImageCheckJob(scan))
    if change is None:
        assert findings == []
    else:
        (finding,) = findings
        assert (finding.severity, finding.file) == ("warning", str(bvec))
        assert f"if you {change} in the b-vectors" in finding.value
