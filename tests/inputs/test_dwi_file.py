from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.errors import BadInput
from bids_shresnet.inputs.dwi_file import read_gradients
from bids_shresnet.inputs.find import find_dwi
from bids_shresnet.io.nifti_header import read_grid
from tests.datasets import AFFINE, Series, spiral, write_tree


def test_missing_gradient_tables_are_reported_together_with_where_they_were_looked_for(
    tmp_path: Path,
) -> None:
    (file,) = find_dwi(write_tree(tmp_path, {"sub-01/dwi/sub-01_dwi": Series(tables=False)}), {})
    with pytest.raises(BadInput) as error:
        read_gradients(file)
    assert ["no .bval" in str(f) or "no .bvec" in str(f) for f in error.value.findings] == [
        True,
        True,
    ]
    assert all(
        f"beside it and in the folders above, up to {tmp_path}" in f.value
        for f in error.value.findings
    )


@pytest.mark.parametrize("text", ["", "0 1000 x", "0 1\n1"])
def test_a_broken_table_is_a_finding_with_its_file(tmp_path: Path, text: str) -> None:
    (file,) = find_dwi(
        write_tree(
            tmp_path, {"sub-01/dwi/sub-01_dwi": Series(), "sub-01/dwi/sub-01_dwi.bval": text}
        ),
        {},
    )
    with pytest.raises(BadInput, match=r"sub-01_dwi\.bval"):
        read_gradients(file)


def test_both_layouts_of_bvecs_are_read_alike(tmp_path: Path) -> None:
    rows = "\n".join(" ".join(map(str, vector)) for vector in spiral(7))
    (file,) = find_dwi(
        write_tree(
            tmp_path, {"sub-01/dwi/sub-01_dwi": Series(), "sub-01/dwi/sub-01_dwi.bvec": rows}
        ),
        {},
    )
    np.testing.assert_allclose(read_gradients(file)[1], spiral(7))


def test_the_grid_is_that_of_the_header(tmp_path: Path) -> None:
    (file,) = find_dwi(write_tree(tmp_path, {"sub-01/dwi/sub-01_dwi": Series(shape=(4, 3, 2))}), {})
    shape, affine = read_grid(file.image)
    assert shape == (4, 3, 2, 7)
    np.testing.assert_array_equal(affine, AFFINE)
