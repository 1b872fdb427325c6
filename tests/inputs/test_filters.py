from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bids.layout import BIDSLayout, Query

from bids_shresnet.errors import InputMissing, UsageError
from bids_shresnet.inputs.filters import read_bids_filter
from bids_shresnet.inputs.find import find_dwi
from tests.datasets import Series, write_tree

NAMES = ["acq-b1_run-01", "acq-b2_run-02", "acq-b2_dir-PA_run-10", "run-02"]


def write_filter(folder: Path, content: Any) -> Path:
    path = folder / "filter.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def pybids_criterion(value: Any) -> Any:
    """Write a value of a filter file as pybids' queries have it."""
    if value is None:
        return Query.NONE
    return Query.ANY if value == "*" else value


@pytest.mark.parametrize(
    "entities",
    [
        {},
        {"acquisition": "b2"},
        {"acquisition": ["b1", "b2"], "direction": None},
        {"acquisition": None},
        {"direction": "*"},
        {"run": 2},
        {"run": [1, 10]},
        {"suffix": "dwi", "datatype": "dwi", "extension": ".nii.gz", "subject": "01"},
        {"subject": "02"},
    ],
)
def test_a_filter_keeps_the_files_that_pybids_finds_with_it(
    tmp_path: Path, entities: dict[str, Any]
) -> None:
    tree = {f"sub-01/dwi/sub-01_{name}_dwi": Series() for name in NAMES}
    root = write_tree(tmp_path / "data", tree)
    bids_filter = read_bids_filter(write_filter(tmp_path, {"dwi": entities}), ())
    files = [file for file in find_dwi(root, {}) if not bids_filter.exclusion_reason(file)]
    query = {"suffix": "dwi", "extension": ".nii.gz"}
    query |= {key: pybids_criterion(value) for key, value in entities.items()}
    expected = BIDSLayout(root, validate=False).get(**query)
    assert [file.image.name for file in files] == sorted(file.filename for file in expected)


@pytest.mark.parametrize(
    "content", ["{", [1], {"dwi": {"acquisitoin": "b1"}}, {"dwo": {}}, {"dwi": 1}]
)
def test_a_filter_of_unknown_roles_or_entities_is_a_usage_error(
    tmp_path: Path, content: Any
) -> None:
    with pytest.raises(UsageError, match=r"filter\.json"):
        read_bids_filter(write_filter(tmp_path, content), ())


def test_a_filter_that_does_not_exist_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="--bids-filter-file"):
        read_bids_filter(tmp_path / "none.json", ())
