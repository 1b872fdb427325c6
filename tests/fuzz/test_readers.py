"""Every reader of files of a dataset: whatever the file holds, it is read or bad input."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from bids_shresnet.errors import ShresnetError
from bids_shresnet.inputs.filters import read_bids_filter
from bids_shresnet.inputs.scanners import read_scanner_naming
from bids_shresnet.inputs.segmentation import read_label_names, read_label_tissues
from bids_shresnet.inputs.sidecars import merge_sidecars
from bids_shresnet.io.description import read_pipelines
from bids_shresnet.io.gradients.fsl import read_fsl_table
from bids_shresnet.io.gradients.mrtrix import read_b_table
from bids_shresnet.io.images.nifti import read_on_grid, read_volume
from bids_shresnet.io.images.nifti_header import read_grid, read_header_orientation
from bids_shresnet.io.storage import write_json
from tests.datasets import AFFINE, DESCRIPTION, PRISMA, TISSUE_TABLE, Series
from tests.fuzz.strategies import NoEndError, damaged, edited, fuzz_settings, limits, odd_image

Reader = Callable[[Path], Any]
TABLES = Series().gradient_tables()
PIPELINES = DESCRIPTION | {"GeneratedBy": [{"Name": "qsiprep", "Version": "1"}]}
FILTER = {"dwi": {"acquisition": "b1200", "session": ["1", "2"]}, "t1w": {}}
LABELS = "".join("\t".join(row) + "\n" for row in TISSUE_TABLE)
MAP = "scan\tscanner\nsub-01\tA\nsub-02_ses-1\tB\n"


def read_sidecar(path: Path) -> None:
    """Read a sidecar; what it has must fit into the sidecar of an output."""
    fields, _ = merge_sidecars([path])
    write_json(path.with_name("out.json"), fields)


def read_tables(path: Path) -> None:
    read_label_tissues([path], "")
    read_label_names([path])


TEXT_READERS: dict[str, tuple[str, str, Reader]] = {
    "bval": ("a.bval", TABLES[".bval"], lambda path: read_fsl_table(path, path)),
    "bvec": ("a.bvec", TABLES[".bvec"], lambda path: read_fsl_table(path, path)),
    "b": ("a.b", "1 0 0 1000\n0 1 0 1000\n", read_b_table),
    "sidecar": ("a.json", json.dumps(PRISMA), read_sidecar),
    "description": (
        "dataset_description.json",
        json.dumps(PIPELINES),
        lambda path: read_pipelines(path.parent),
    ),
    "filter": ("filter.json", json.dumps(FILTER), lambda path: read_bids_filter(path, ())),
    "labels": ("dseg.tsv", LABELS, read_tables),
    "map": ("map.tsv", MAP, lambda path: read_scanner_naming(path.parent, path, "scanner", None)),
    "participants": (
        "participants.tsv",
        "participant_id\tscanner\nsub-01\tA\n",
        lambda path: read_scanner_naming(path.parent, None, "scanner", None),
    ),
}
RECORDS = {"sidecar": PRISMA, "description": PIPELINES, "filter": FILTER}


def try_to_read(folder: Path, name: str, content: bytes, read: Reader) -> None:
    """Read a file within limits; an error for users is a right answer, any other one fails."""
    path = folder / name
    path.write_bytes(content)
    with limits(), contextlib.suppress(ShresnetError):
        read(path)


@pytest.mark.parametrize("reader", TEXT_READERS)
def test_damaged_text_is_read_or_bad_input(reader: str, tmp_path: Path) -> None:
    name, text, read = TEXT_READERS[reader]

    @fuzz_settings(40)
    @given(damaged(text.encode()))
    def check(content: bytes) -> None:
        try_to_read(tmp_path, name, content, read)

    check()


@pytest.mark.slow
@pytest.mark.parametrize("reader", RECORDS)
def test_records_of_odd_values_are_read_or_bad_input(reader: str, tmp_path: Path) -> None:
    name, _, read = TEXT_READERS[reader]

    @fuzz_settings(40)
    @given(edited(RECORDS[reader]))
    def check(record: Any) -> None:
        try_to_read(tmp_path, name, json.dumps(record).encode(), read)

    check()


@pytest.mark.parametrize("is_damaged", [False, True])
def test_images_with_odd_headers_are_read_or_bad_input(is_damaged: bool, tmp_path: Path) -> None:
    def read(path: Path) -> None:
        read_grid(path)
        read_header_orientation(path)
        read_volume(path)
        read_on_grid(path, (2, 2, 2), AFFINE, spline_order=0)

    contents = odd_image()
    if is_damaged:  # damaged in the middle of the compressed data
        contents = contents.flatmap(damaged)

    @fuzz_settings(40)
    @given(contents)
    def check(content: bytes) -> None:
        try_to_read(tmp_path, "a.nii.gz", content, read)

    check()


@pytest.mark.slow
@pytest.mark.parametrize("wait", [time.sleep, lambda seconds: sum(range(10**8 * seconds))])
def test_the_limits_stop_what_never_ends(
    wait: Callable[[int], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fuzz.strategies.MAX_SECONDS", 0.2)
    with pytest.raises(NoEndError, match="no end"), limits():
        wait(20)
