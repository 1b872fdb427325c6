from __future__ import annotations

from pathlib import Path

import pytest

from bids_shresnet.pairs import Pair
from bids_shresnet.scans import Scanner
from bids_shresnet.workflow.pair_work import PairWork
from tests.configs import make_config

PAIR = Pair(Scanner("GE"), Scanner("Prisma"), travelling_scans=())


def work_folder(root: Path, work_dir: Path | None) -> Path:
    config = make_config(Path("data"), root, "group", work_dir=work_dir)
    return PairWork(PAIR, config, root).work_folder


def test_outputs_that_share_a_work_folder_have_folders_of_their_own_in_it(tmp_path: Path) -> None:
    work = tmp_path / "work"
    folders = [work_folder(tmp_path / name, work) for name in ("a", "b", "a")]
    assert len(set(folders)) == 2
    assert folders[0] == folders[2]  # the same run goes on there
    assert all(folder.is_relative_to(work) for folder in folders)


def test_an_output_has_the_same_folder_however_its_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    work = tmp_path / "work"
    assert work_folder(Path("a"), work) == work_folder(tmp_path / "a", work)


def test_the_hidden_folder_of_an_output_moves_with_it(tmp_path: Path) -> None:
    first = work_folder(tmp_path / "a", None).relative_to(tmp_path / "a")
    assert work_folder(tmp_path / "b", None) == tmp_path / "b" / first
