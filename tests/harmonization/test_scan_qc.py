from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from bids_shresnet.diffusion.represent import represent_dwi
from bids_shresnet.diffusion.tensors import TensorMaps
from bids_shresnet.harmonization.scan_qc import write_scan_qc
from bids_shresnet.harmonization.tensor_outputs import input_pair
from bids_shresnet.inputs.load_scan import LoadedScan, load_scan
from bids_shresnet.inputs.qsiprep import QSIPREP_LABELS
from bids_shresnet.inputs.tissue import segment_tissue
from bids_shresnet.io.images.nifti_writing import write_volume
from bids_shresnet.io.storage import read_json, read_tsv
from bids_shresnet.outputs.layout import ScanOutputs
from bids_shresnet.scans import Dwi, LabelImage, Scan, Shell, Tissue

SHELLS = (Shell(1000.0, 2),)


@pytest.fixture(scope="module")
def scan(scans: dict[str, Scan]) -> Scan:
    return scans["04"]


@pytest.fixture(scope="module")
def loaded(scan: Scan) -> LoadedScan:
    return load_scan(scan)


def write_table(
    scan: Scan, loaded: LoadedScan, root: Path
) -> tuple[dict[str, str], dict[str, Any]]:
    """Write the table of the maps as measured; returns its row and the record of the scan."""
    outputs = ScanOutputs(scan, root)
    representation = represent_dwi(loaded.dwi, loaded.mask, SHELLS)
    pairs = [input_pair(outputs, loaded, representation)]
    write_scan_qc(outputs, pairs, loaded, representation, {"Role": "target"})
    (row,) = read_tsv(outputs.qc_table())
    return row, read_json(outputs.qc_table(".json"))["Scan"]


def test_tissue_means_are_those_of_the_scans_own_tissue(
    scan: Scan, loaded: LoadedScan, tmp_path: Path
) -> None:
    row, _ = write_table(scan, loaded, tmp_path)
    representation = represent_dwi(loaded.dwi, loaded.mask, SHELLS)
    tissue = segment_tissue(scan, loaded, representation)
    maps = input_pair(ScanOutputs(scan, tmp_path), loaded, representation).maps
    for label in (Tissue.WM, Tissue.GM):
        voxels = loaded.mask & (tissue == label)
        name = label.name.lower()
        assert float(row[f"{name}_fa"]) == pytest.approx(maps.fa[voxels].mean(), rel=1e-4)
        assert float(row[f"{name}_md"]) == pytest.approx(maps.md[voxels].mean(), rel=1e-4)
    assert float(row["wm_fa"]) > float(row["gm_fa"])


def test_maps_as_measured_rest_on_the_shells_of_the_model_alone(
    scan: Scan, loaded: LoadedScan, tmp_path: Path
) -> None:
    """A shell without a partner, of other apparent diffusivities, changes no map."""
    outputs = ScanOutputs(scan, tmp_path)
    dwi = loaded.dwi
    weighted = ~dwi.is_b0
    with_shell = Dwi(
        np.concatenate([dwi.data, 0.9 * dwi.data[..., weighted]], axis=3),
        dwi.affine,
        np.concatenate([dwi.bvals, 1.5 * dwi.bvals[weighted]]),
        np.concatenate([dwi.bvecs, dwi.bvecs[weighted]]),
    )
    pairs = []
    for scanned in (dwi, with_shell):
        representation = represent_dwi(scanned, loaded.mask, SHELLS)
        pairs.append(input_pair(outputs, replace(loaded, dwi=scanned), representation))
    np.testing.assert_array_equal(pairs[0].maps.fa, pairs[1].maps.fa)
    np.testing.assert_array_equal(pairs[0].maps.md, pairs[1].maps.md)
    assert pairs[0].bvalues == pairs[1].bvalues == (1000.0,)


def test_means_and_medians_are_those_of_the_voxels_of_the_mask(
    scan: Scan, loaded: LoadedScan, tmp_path: Path
) -> None:
    """Of skewed values, whose mean is not their median, with others outside the mask."""
    outputs = ScanOutputs(scan, tmp_path)
    skewed = np.random.default_rng(0).exponential(0.2, loaded.mask.shape)
    fa = np.where(loaded.mask, np.minimum(skewed, 1), 0.9)
    maps = TensorMaps(fa=fa, md=fa**2 * 1e-3)
    representation = represent_dwi(loaded.dwi, loaded.mask, SHELLS)
    pairs = [replace(input_pair(outputs, loaded, representation), maps=maps)]
    write_scan_qc(outputs, pairs, loaded, representation, {})
    (row,) = read_tsv(outputs.qc_table())
    for name, values in (("fa", maps.fa[loaded.mask]), ("md", maps.md[loaded.mask])):
        assert float(row[f"{name}_mean"]) == pytest.approx(values.mean(), rel=1e-5)
        assert float(row[f"{name}_median"]) == pytest.approx(np.median(values), rel=1e-5)


def test_the_description_names_the_scan_its_noise_and_its_role(
    scan: Scan, loaded: LoadedScan, tmp_path: Path
) -> None:
    _, record = write_table(scan, loaded, tmp_path)
    assert record["File"] == scan.image.name
    assert record["Scanner"] == scan.scanner_label
    assert record["Role"] == "target"
    assert record["MaskMethod"] == "computed"
    assert 0.005 < record["NoiseLevel"] < 0.2
    assert 0 <= record["ClippedSignal"] < 0.2


def test_a_segmentation_that_cannot_be_right_leaves_out_the_means_with_a_warning(
    scan: Scan, loaded: LoadedScan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One label everywhere is no tissue contrast; the scan itself is not refused."""
    path = tmp_path / "dseg.nii.gz"
    write_volume(path, loaded.mask.astype(np.uint8), loaded.dwi.affine, scan.image)
    segmented = replace(scan, segmentation=LabelImage(path, QSIPREP_LABELS))
    with caplog.at_level(logging.WARNING):
        row, _ = write_table(segmented, loaded, tmp_path)
    assert row["wm_fa"] == row["gm_md"] == "n/a"
    assert float(row["fa_mean"]) > 0
    assert "no means of tissues" in caplog.text


def test_a_computed_mask_that_is_larger_than_a_brain_is_warned_about(
    scan: Scan, loaded: LoadedScan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not about one of a brain's volume, nor about one that the user gave."""
    smaller = replace(loaded, mask=binary_erosion(loaded.mask, iterations=2))
    voxel_ml = abs(np.linalg.det(loaded.dwi.affine[:3, :3])) / 1000
    assert smaller.mask.sum() * voxel_ml < 1600 < loaded.mask.sum() * voxel_ml
    computed = replace(scan, mask=None)
    write_table(computed, smaller, tmp_path / "smaller")
    write_table(replace(scan, mask=scan.image), loaded, tmp_path / "given")
    assert "more than a brain" not in caplog.text
    write_table(computed, loaded, tmp_path / "computed")
    assert "more than a brain" in caplog.text
