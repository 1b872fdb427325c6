"""`bids-shresnet-slurm`: write batch scripts that process a dataset on a Slurm cluster."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from bids_shresnet.cli.answer import print_answer
from bids_shresnet.cli.config_file import to_record
from bids_shresnet.cli.help_texts import join_help_lines, wrap_description
from bids_shresnet.cli.parser import parse
from bids_shresnet.cli.resolve import memory_limit
from bids_shresnet.cli.sbatch import Container, SlurmJob, render_batch_script, render_submission
from bids_shresnet.cli.slurm_jobs import make_jobs
from bids_shresnet.config import (
    RAW_DATASET_NAME,
    Config,
    InputSettings,
    ModelSettings,
    OutputSettings,
    RunSettings,
    ScannerSettings,
)
from bids_shresnet.errors import UsageError
from bids_shresnet.io.storage import write_json, write_text
from bids_shresnet.outputs.layout import output_root
from bids_shresnet.outputs.model.folder import find_models
from bids_shresnet.planning.finished import has_maps, is_harmonized
from bids_shresnet.planning.plan import Plan, log_findings, stop_at_errors
from bids_shresnet.planning.selection import stop_at_empty_selection
from bids_shresnet.runtime.logs import log_to_screen
from bids_shresnet.workflow.make_plan import inspect_dataset
from bids_shresnet.workflow.pair_work import PairWork
from bids_shresnet.workflow.train_pair import drop_bad_heads

PROGRAM = "bids-shresnet-slurm"
ESSENTIAL_SETTINGS = ("bids_dir", "output_dir", "analysis_level")
# Why flags of bids-shresnet are refused
SIZES_REFUSAL = (
    "--nprocs, --omp-nthreads and --mem are set for every job by its size; "
    "change sizes with --sbatch"
)
VALIDATION_REFUSAL = (
    "--validate-bids would look at the whole dataset in every job; run it once with --dry-run"
)
RETRAINING_REFUSAL = (
    "--retrain would discard in every job what the others have made; "
    "remove the folder of the model before"
)
CLEANING_REFUSAL = (
    "--clean-workdir would remove in every job what the others need; remove the work folder before"
)
NO_WORK_REFUSAL = (
    "--dry-run, --reports-only and --boilerplate-only leave no work for jobs; "
    "give them to bids-shresnet itself"
)
SettingsT = TypeVar("SettingsT", InputSettings, OutputSettings, ScannerSettings, ModelSettings)


@dataclass(frozen=True)
class SlurmCommand:
    """Write batch scripts that prepare, train, evaluate and harmonize a dataset on a Slurm cluster.

    SCRIPTS/submit.sh submits them all. Flags of bids-shresnet come last, behind `--`:
    bids-shresnet-slurm DATA OUT SCRIPTS --sbatch=--partition=long -- --target Prisma
    """

    bids_dir: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="BIDS_DIR")]
    """Root of the BIDS dataset."""
    output_dir: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUTPUT_DIR")]
    """Output folder of all jobs; all machines must see it under this name."""
    scripts: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SCRIPTS")]
    """Folder for the scripts and the jobs' logs."""
    sif: Path | None = None
    """Apptainer image to run; by default the command bids-shresnet, which must be on the jobs'
    PATH."""
    sbatch: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Further option of all jobs, such as --sbatch=--account=me or a longer --sbatch=--time=2-0;
    may be repeated."""
    rerun: bool = False
    """Write nothing: print the commands that submit what is missing, task by task. They can be
    piped to bash."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    join_help_lines(SlurmCommand)
    description = wrap_description(SlurmCommand)
    command = tyro.cli(SlurmCommand, prog=PROGRAM, description=description, args=arguments[:cut])
    with log_to_screen(0):
        return print_answer(PROGRAM, lambda: run(command, arguments[cut + 1 :]))


def run(command: SlurmCommand, flags: Sequence[str]) -> str:
    """Write the scripts, or find what is missing; return the shell commands that submit it."""
    paths = [str(command.bids_dir), str(command.output_dir)]
    config = make_paths_absolute(parse([*paths, "participant", *flags]))
    check_flags(config)
    plan = plan_jobs(config)
    jobs = make_jobs(plan, config)
    folder = command.scripts.absolute()
    if command.rerun:
        stages = find_unfinished_stages(jobs, plan, config)
        return render_submission(stages, folder) if stages else "# nothing is missing\n"
    write_scripts(jobs, config, command, folder)
    return f"bash {shlex.quote(str(folder / 'submit.sh'))}\n"


def check_flags(config: Config) -> None:
    """Refuse flags that jobs set themselves, that jobs cannot share, or with which none works.

    Raises
    ------
    UsageError
        If one of them was given.
    """
    run = config.run
    resource = config.resource
    has_sizes = resource.nprocs or resource.omp_nthreads or memory_limit(resource)
    refused = (
        (has_sizes, SIZES_REFUSAL),
        (config.input.validate_bids, VALIDATION_REFUSAL),
        (config.model.retrain, RETRAINING_REFUSAL),
        (config.output.clean_workdir, CLEANING_REFUSAL),
        (run.dry_run or run.reports_only or run.boilerplate_only, NO_WORK_REFUSAL),
    )
    for is_given, message in refused:
        if is_given:
            raise UsageError(message)


def plan_jobs(config: Config) -> Plan:
    """Find the scans to harmonize and the pairs to train."""
    models = find_models(config.model.models) if config.model.models else ()
    plan = inspect_dataset(config, models, output_root(config.output.output_dir))
    log_findings(plan.findings)
    stop_at_errors(plan.findings)
    stop_at_empty_selection(plan.inventory, plan.selection, config.input.bids_dir)
    return plan


def make_paths_absolute(config: Config) -> Config:
    """Return settings with paths that are valid in every folder and on every machine."""
    datasets = config.input.named_datasets()
    del datasets[RAW_DATASET_NAME]
    derivatives = tuple(f"{name}={path.absolute()}" for name, path in datasets.items())
    return replace(
        config,
        input=replace(_make_absolute(config.input), derivatives=derivatives),
        output=_make_absolute(config.output),
        scanner=_make_absolute(config.scanner),
        model=_make_absolute(config.model),
    )


def _make_absolute(settings: SettingsT) -> SettingsT:
    paths = {name: path for name, path in vars(settings).items() if isinstance(path, Path)}
    changes: dict[str, Any] = {name: path.absolute() for name, path in paths.items()}
    return replace(settings, **changes)


def write_scripts(
    jobs: Sequence[SlurmJob], config: Config, command: SlurmCommand, folder: Path
) -> None:
    """Write one script per stage, the settings that all stages share, and submit.sh."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    unpaired = replace(config, scanner=replace(config.scanner, pair=(), target=None))
    write_json(folder / "config.json", shared_settings(unpaired))  # scripts name the pairs
    container = make_container(config, command.sif, folder) if command.sif else None
    for job in jobs:
        text = render_batch_script(
            job,
            folder=folder,
            datasets=(config.input.bids_dir, config.output.output_dir),
            container=container,
            options=command.sbatch,
        )
        write_text(folder / f"{job.name}.sbatch", text)
    stages = [(job, ()) for job in jobs]
    write_text(folder / "submit.sh", render_submission(stages, folder))


def shared_settings(config: Config) -> dict[str, Any]:
    """Return a record of the settings that differ from the defaults."""
    plain = Config(
        input=InputSettings(config.input.bids_dir),
        output=OutputSettings(config.output.output_dir),
        run=RunSettings(config.run.analysis_level),
    )
    defaults = to_record(plain)
    settings = to_record(config).items()
    return {
        name: value
        for name, value in settings
        if name in ESSENTIAL_SETTINGS or value != defaults[name]
    }


def make_container(config: Config, image: Path, scripts: Path) -> Container:
    """Return the image with every folder and file that the settings name."""
    tables = (
        config.input.bids_filter_file,
        config.input.bids_database_dir,
        config.scanner.scanner_map,
        config.model.models,
    )
    datasets = config.input.named_datasets().values()
    writable = [path for path in (config.output.output_dir, config.output.work_dir) if path]
    for path in writable:  # Apptainer binds only folders that exist
        path.mkdir(parents=True, exist_ok=True)
    return Container(
        image=image.absolute(),
        read_only_paths=(*datasets, *(path for path in tables if path), scripts),
        writable_paths=tuple(writable),
    )


def find_unfinished_stages(
    jobs: Iterable[SlurmJob], plan: Plan, config: Config
) -> list[tuple[SlurmJob, list[int]]]:
    """Find the stages that have work left, with the numbers of their unfinished tasks."""
    root = output_root(config.output.output_dir)
    config = replace(config, run=replace(config.run, analysis_level="group"))
    all_works = [PairWork(pair, config, root) for pair in plan.pairs]
    pair_works = [drop_bad_heads(work) for work in all_works if not work.is_complete]
    stages: list[tuple[SlurmJob, list[int]]] = []
    for job in jobs:
        if not job.task_arguments:
            stages += [(job, [])] if pair_works else []
            continue
        unfinished = _unfinished_tasks(job, plan, pair_works, root)
        numbers = [n for n, task in enumerate(job.task_arguments) if task in unfinished]
        stages += [(job, numbers)] if numbers else []
    return stages


def _unfinished_tasks(
    job: SlurmJob, plan: Plan, pair_works: Iterable[PairWork], root: Path
) -> set[tuple[str, ...]]:
    """Arguments of the tasks of an array that have work left."""
    if job.name == "prepare":
        return _unprepared_subjects(pair_works)
    if job.name == "train":
        return _unfitted_folds(pair_works)
    missing = _unfinished_subjects(plan, root)
    return {subjects for subjects in job.task_arguments if not missing.isdisjoint(subjects)}


def _unfinished_subjects(plan: Plan, root: Path) -> set[str]:
    """Labels of subjects with a scan that was not harmonized, or of a target without maps."""
    models = plan.requirements
    scans = [scan for scan in plan.selection.scans if not is_harmonized(scan, models, root)]
    scans += [scan for scan in plan.selection.target_scans if not has_maps(scan, models, root)]
    return {scan.subject for scan in scans}


def _unprepared_subjects(pair_works: Iterable[PairWork]) -> set[tuple[str, ...]]:
    """Pair and label of travelling subjects that are not prepared."""
    return {
        (pair_work.pair.label, job.source.subject)
        for pair_work in pair_works
        for job in pair_work.unprepared_jobs
    }


def _unfitted_folds(pair_works: Iterable[PairWork]) -> set[tuple[str, ...]]:
    """Pair and number of folds that are not fitted."""
    return {
        (pair_work.pair.label, str(job.number))
        for pair_work in pair_works
        for job in pair_work.unfitted_jobs
    }
