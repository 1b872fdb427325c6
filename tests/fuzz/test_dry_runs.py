"""Dry runs of datasets with damaged files: an exit code that is documented, and nothing written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_shresnet.cli.app import main
from tests.datasets import GE, PRISMA, TISSUE_TABLE, travelling_heads, write_tree
from tests.fuzz.strategies import damaged, edited, fuzz_settings, limits, odd_image

pytestmark = pytest.mark.slow

EXIT_CODES = {0, 16, 18, 64, 65, 66, 73, 74}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "bids"
    travelling_heads(root, {"01": (GE, PRISMA), "02": (GE, PRISMA), "03": (GE,)})
    tree = {
        "participants.tsv": [["participant_id", "scanner"], ["sub-01", "n/a"]],
        "sub-01/sub-01_sessions.tsv": [["session_id", "site"], ["ses-ge", "a"]],
        "sub-01/ses-ge/dwi/sub-01_ses-ge_dseg.tsv": [list(row) for row in TISSUE_TABLE],
        "sub-01/ses-ge/dwi/sub-01_ses-ge_dseg.nii.gz": np.ones((2, 2, 2), np.int16),
    }
    return write_tree(root, tree)


@st.composite
def damage(draw: Any, root: Path) -> dict[str, bytes]:
    """Choose one to three files of a dataset, and their new content."""
    names = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    changes = {}
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)):
        content = (root / name).read_bytes()
        if name.endswith(".nii.gz"):
            changes[name] = draw(odd_image() | damaged(content))
        elif name.endswith(".json"):
            records = edited(json.loads(content)).map(lambda record: json.dumps(record).encode())
            changes[name] = draw(records | damaged(content))
        else:
            changes[name] = draw(damaged(content))
    return changes


def read_files(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.filterwarnings("ignore")
def test_a_dry_run_ends_with_a_documented_exit_code_and_writes_nothing(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @fuzz_settings(25)
    @given(damage(dataset))
    def check(changes: dict[str, bytes]) -> None:
        root = tmp_path / "bids"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(dataset, root)
        for name, content in changes.items():
            (root / name).write_bytes(content)
        before = read_files(tmp_path)
        command = [str(root), str(tmp_path / "out"), "participant", "--dry-run", "--nprocs", "1"]
        with limits():
            assert main(command) in EXIT_CODES
        assert read_files(tmp_path) == before
        assert "Traceback" not in capsys.readouterr().err

    check()
