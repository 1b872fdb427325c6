from __future__ import annotations

from pathlib import Path

import pytest

from bids_shresnet.cli.slurm import main
from tests.inventories import write_heads


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    """Dataset, output and scripts of three travelling heads."""
    heads = write_heads(tmp_path / "data", ["01", "02", "03"])
    return [str(heads), str(tmp_path / "out"), str(tmp_path / "slurm")]


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--nprocs", "2"], "change sizes with --sbatch"),
        (["--mem", "8G"], "change sizes with --sbatch"),
        (["--validate-bids"], "run it once with --dry-run"),
        (["--retrain"], "remove the folder of the model before"),
        (["--clean-workdir"], "remove the work folder before"),
        (["--dry-run"], "give them to bids-shresnet itself"),
        (["--reports-only"], "give them to bids-shresnet itself"),
        (["--boilerplate-only"], "give them to bids-shresnet itself"),
    ],
)
def test_flags_that_jobs_set_or_cannot_share_or_that_leave_no_work_are_refused(
    flags: list[str], reason: str, paths: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*paths, "--", "--target", "Prisma", *flags]) == 64
    message = capsys.readouterr().err
    assert flags[0] in message
    assert reason in message
    assert not Path(paths[2]).exists()


def test_a_folder_of_scripts_that_cannot_be_written_is_a_sentence(
    paths: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(paths[2]).write_text("a file")
    assert main([*paths, "--", "--target", "Prisma"]) == 74
    assert "bids-shresnet-slurm: reading or writing failed: " in capsys.readouterr().err
