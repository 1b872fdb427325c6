from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.errors import BadInput
from bids_shresnet.inputs.dwi_file import DwiFile, read_raw_gradients
from bids_shresnet.inputs.find import find_dwi
from bids_shresnet.io.images.nifti_header import read_grid
from tests.datasets import AFFINE, Series, spiral, write_tree

DWI = "sub-01/dwi/sub-01_dwi"


def find_file(root: Path, series: Series, **tables: str) -> DwiFile:
    """Write one DWI with some tables by extension, and find it."""
    tree = {DWI: series} | {f"{DWI}.{extension}": text for extension, text in tables.items()}
    (file,) = find_dwi(write_tree(root, tree), {})
    return file


def test_missing_gradient_tables_are_reported_together_with_the_folders_searched(
    tmp_path: Path,
) -> None:
    file = find_file(tmp_path, Series(has_tables=False))
    with pytest.raises(BadInput) as error:
        read_raw_gradients(file)
    bval, bvec = error.value.findings
    assert "no .bval" in bval.value
    assert "no .bvec" in bvec.value
    assert f"beside it and in the folders above, up to {tmp_path}" in bval.value


@pytest.mark.parametrize("text", ["", "0 1000 x", "0 1\n1"])
def test_a_broken_table_is_a_finding_with_its_file(tmp_path: Path, text: str) -> None:
    file = find_file(tmp_path, Series(), bval=text)
    with pytest.raises(BadInput, match=r"sub-01_dwi\.bval"):
        read_raw_gradients(file)


def test_both_layouts_of_bvecs_are_read_alike(tmp_path: Path) -> None:
    rows = "\n".join(" ".join(map(str, vector)) for vector in spiral(7))
    _, bvecs = read_raw_gradients(find_file(tmp_path, Series(), bvec=rows))
    np.testing.assert_allclose(bvecs, spiral(7))


def test_the_grid_is_that_of_the_header(tmp_path: Path) -> None:
    shape, affine = read_grid(find_file(tmp_path, Series(shape=(4, 3, 2))).image)
    assert shape == (4, 3, 2, 7)
    np.testing.assert_array_equal(affine, AFFINE)
