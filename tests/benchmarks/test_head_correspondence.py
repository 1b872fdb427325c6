from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from benchmarks import head_correspondence
from benchmarks.bad_heads import read_pair
from benchmarks.head_correspondence import format_row, measure_kinds
from bids_shresnet.pairs import RegistrationQuality
from bids_shresnet.planning.pair_shells import PairShells
from bids_shresnet.scans import Scan
from tests.datasets import AFFINE
from tests.inventories import write_heads


def label(source: Scan, target: Scan, _: PairShells) -> RegistrationQuality:
    """A quality that says which scans were compared, and whether the source is flipped."""
    first = float(np.asarray(nib.Nifti1Image.from_filename(source.image).dataobj)[0, 0, 0, 0])
    return RegistrationQuality(first, float(source.subject), float(target.subject))


def test_own_heads_other_heads_and_flipped_heads_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bids = write_heads(tmp_path / "bids", ["01", "02", "03"])
    values = np.broadcast_to(np.array([1, 9])[:, None, None, None], (2, 2, 2, 7)).astype(np.int16)
    for path in bids.rglob("*.nii.gz"):
        nib.save(nib.Nifti1Image(values, AFFINE), path)
    monkeypatch.setattr(head_correspondence, "measure", label)
    kinds = dict(measure_kinds(read_pair(bids), tmp_path))
    own = [RegistrationQuality(1.0, number, number) for number in (1.0, 2.0, 3.0)]
    others = [RegistrationQuality(1.0, *pair) for pair in ((1.0, 2.0), (2.0, 3.0), (3.0, 1.0))]
    flipped = [RegistrationQuality(9.0, number, number) for number in (1.0, 2.0, 3.0)]
    assert list(kinds.values()) == [own, others, flipped]


def test_a_row_has_the_range_of_each_correlation() -> None:
    qualities = [RegistrationQuality(1.0, 0.9, 0.5), RegistrationQuality(1.0, 0.85, 0.6)]
    row = format_row("one head", qualities)
    assert row == "| one head | 2 | 0.850 to 0.900 | 0.500 to 0.600 |"
