from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest

from bids_shresnet.cli import slurm_jobs
from bids_shresnet.cli.slurm import main
from bids_shresnet.pairs import Inventory, Selection
from bids_shresnet.planning.plan import Plan
from tests.datasets import Series, write_tree
from tests.factories import make_scan
from tests.inventories import write_heads

MAX_TASKS = 3


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 9, 10])
def test_every_subject_is_in_one_task_of_an_array_that_slurm_accepts(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_jobs, "MAX_ARRAY_TASKS", MAX_TASKS)
    stem = write_tree(tmp_path, {"sub-0_dwi": Series()}) / "sub-0_dwi"
    subjects = [f"{number:02d}" for number in range(count)]
    scans = tuple(make_scan(stem, subject=subject) for subject in subjects)
    plan = Plan(Inventory(scans, (), ()), (), Selection(scans, ()), ())
    tasks = slurm_jobs.make_harmonize_job(plan, is_spooled=False).task_arguments
    assert len(tasks) <= MAX_TASKS
    assert list(chain.from_iterable(tasks)) == subjects
    assert len(tasks[0]) == max(map(len, tasks))  # by which the time limit is set


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """Dataset, output and scripts of three travelling heads, one of GE and one of the target."""
    heads = write_heads(tmp_path / "data", ["01", "02", "03"], ["04"], ["07"])
    return [str(heads), str(tmp_path / "out"), str(tmp_path / "slurm")]


def test_who_was_scanned_on_the_target_only_has_a_task(paths: list[str]) -> None:
    flags = ("--target", "Prisma")
    assert main([*paths, "--", *flags]) == 0
    assert "#SBATCH --array=0-4\n" in Path(paths[2], "participant.sbatch").read_text()
    assert main([*paths, "--", *flags, "--participant-label", "07"]) == 0
    assert "#SBATCH --array=0-0\n" in Path(paths[2], "participant.sbatch").read_text()
