from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from bids_shresnet.errors import BadInput
from bids_shresnet.inputs.qsiprep import QSIPREP_LABELS
from bids_shresnet.inputs.tissue import segment_tissue
from bids_shresnet.scans import LabelImage, Scan, Tissue
from bids_shresnet.training.match_scans import RepresentedScan
from tests.training.moved_head import SHELLS, find_source_scan

ALL_LABELS = [dict(zip(QSIPREP_LABELS, order, strict=True)) for order in permutations(Tissue)]
WRONG_LABELS = [labels for labels in ALL_LABELS if labels != QSIPREP_LABELS]


@pytest.fixture(scope="module")
def source(phantom: Path) -> Scan:
    return find_source_scan(phantom / "bids")


@pytest.fixture(scope="module")
def scan(source: Scan) -> RepresentedScan:
    return RepresentedScan.load(source, SHELLS.source)


@pytest.fixture(scope="module")
def tissue(source: Scan, scan: RepresentedScan) -> np.ndarray:
    """Classified tissue with holes, which the classifier would not make."""
    tissue = segment_tissue(source, scan.loaded, scan.representation)
    tissue[np.random.default_rng(0).random(tissue.shape) < 0.2] = 0
    return tissue


@pytest.fixture(scope="module")
def labels_file(
    tissue: np.ndarray, scan: RepresentedScan, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The tissue with QSIPrep's labels."""
    labels = np.zeros(len(Tissue) + 1, np.uint8)
    for label, value in QSIPREP_LABELS.items():
        labels[value] = label
    path = tmp_path_factory.mktemp("labels") / "dseg.nii.gz"
    nib.save(nib.Nifti1Image(labels[tissue], scan.loaded.dwi.affine), path)
    return path


def test_the_inputs_own_segmentation_is_used(
    source: Scan, scan: RepresentedScan, tissue: np.ndarray, labels_file: Path
) -> None:
    segmented = replace(source, segmentation=LabelImage(labels_file, QSIPREP_LABELS))
    result = segment_tissue(segmented, scan.loaded, scan.representation)
    np.testing.assert_array_equal(result, tissue)


@pytest.mark.parametrize("labels", WRONG_LABELS)
def test_labels_with_a_wrong_meaning_are_an_error(
    labels: dict[int, Tissue], source: Scan, scan: RepresentedScan, labels_file: Path
) -> None:
    """BIDS's labels are among them: with QSIPrep's file they would call grey matter white."""
    segmented = replace(source, segmentation=LabelImage(labels_file, labels))
    with pytest.raises(BadInput, match="not what the scan shows"):
        segment_tissue(segmented, scan.loaded, scan.representation)
