from __future__ import annotations

from pathlib import Path

import pytest

from bids_shresnet.cli.parser import parse
from bids_shresnet.cli.slurm import find_unfinished_stages, main, plan_jobs
from bids_shresnet.cli.slurm_jobs import make_jobs
from bids_shresnet.outputs.layout import output_root
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.workflow.build_models import build_models
from bids_shresnet.workflow.pair_work import PairWork
from bids_shresnet.workflow.train_pair import drop_bad_heads
from tests.bad_heads import replace_registration
from tests.configs import make_config
from tests.datasets import write_tree
from tests.inventories import write_heads


def test_a_rerun_lists_the_scans_of_the_target_that_have_no_maps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heads = write_heads(tmp_path / "data", ["01", "02", "03"], ["04"], ["07"])
    paths = [str(heads), str(tmp_path / "out"), str(tmp_path / "slurm")]
    folder = "sub-{0}/ses-{1}/dwi/sub-{0}_ses-{1}_desc-"
    outputs = [folder.format(label, "ge") + "harmonized_dwi.json" for label in ("01", "02", "04")]
    outputs.append(folder.format("02", "siemens") + "harmonization_qc.json")
    write_tree(output_root(tmp_path / "out"), {name: {} for name in outputs})
    assert main([*paths, "--rerun", "--", "--target", "Prisma"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (participant,) = [line for line in lines if line.startswith("participant=")]
    assert "--array=0,2,4 " in participant  # sub-01 and sub-03 lack maps, as sub-07 does


def test_a_rerun_lists_no_fold_that_bad_heads_have_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_registration(monkeypatch, failing=["02"], other_heads=["05"])
    heads = write_heads(tmp_path / "data", ["01", "02", "03", "04", "05"])
    config = parse([str(heads), str(tmp_path / "out"), "participant", "--target", "Prisma"])
    plan = plan_jobs(config)
    jobs = make_jobs(plan, config)
    root = output_root(tmp_path / "out")
    settings = make_config(heads, tmp_path / "out", "group", stage="prepare", target="Prisma")
    build_models(plan.pairs, settings, root, Workers(1, 1))

    remaining = drop_bad_heads(PairWork(plan.pairs[0], settings, root))
    fitted = {job.digest for job in remaining.fold_jobs_to_run if job.number != 2}
    monkeypatch.setattr(f"{PairWork.__module__}.is_fitted", lambda job: job.digest in fitted)
    stages = {job.name: numbers for job, numbers in find_unfinished_stages(jobs, plan, config)}
    assert stages == {"train": [2], "evaluate": [], "participant": [0, 1, 2, 3, 4]}
