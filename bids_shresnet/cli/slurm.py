"""`bids-shresnet-slurm`: a dataset's work as jobs of a Slurm cluster, a task a unit, with sizes from the data."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from bids_shresnet.cli.config_file import to_record
from bids_shresnet.cli.parser import log_to_screen, parse
from bids_shresnet.cli.sbatch import (
    ALL_TASK_ARGUMENTS,
    FIRST_TASK_ARGUMENT,
    OTHER_TASK_ARGUMENTS,
    Container,
    SlurmJob,
    render_batch_script,
    render_submission,
)
from bids_shresnet.config import (
    RAW_DATASET_NAME,
    Config,
    InputSettings,
    ModelSettings,
    OutputSettings,
    RunSettings,
    ScannerSettings,
)
from bids_shresnet.errors import ShresnetError, UsageError
from bids_shresnet.io.storage import write_json, write_text
from bids_shresnet.outputs.layout import has_output, output_root
from bids_shresnet.outputs.model_folder import find_models
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.memory import memory_for_pair, memory_for_scans, voxel_count
from bids_shresnet.planning.plan import Plan, stop_at_errors
from bids_shresnet.planning.selection import stop_at_empty_selection
from bids_shresnet.workflow.make_plan import inspect_dataset
from bids_shresnet.workflow.pair_work import PairWork

MB = 2**20
MAX_ARRAY_TASKS = 1000  # of an array: one less than what Slurm allows by default (MaxArraySize)
MAX_EVALUATION_CPUS = 2  # of the evaluation, which has the folds to share among them
# Minutes of one core, four times what was seen and rather too long; a job stopped at its limit is queued again.
MIN_LIMIT_MINUTES, MAX_LIMIT_MINUTES = 30, 24 * 60
MINUTES_PER_MILLION_VOXELS = 60.0  # voxels of a scan that is registered, or harmonized
MINUTES_PER_VOXEL_EPOCH = (
    50 / 800_000
)  # voxel and epoch, for the network and all that it is compared with (docs/experiments.md)
MINUTES_PER_EVALUATED_FOLD = 15.0  # that is evaluated

SettingsT = TypeVar("SettingsT", InputSettings, OutputSettings, ScannerSettings, ModelSettings)


@dataclass(frozen=True)
class SlurmCommand:
    """Write batch scripts that prepare, train, evaluate and harmonize a dataset on a Slurm cluster.

    SCRIPTS/submit.sh submits them all. Flags of bids-shresnet come last, behind `--`:
    bids-shresnet-slurm DATA OUT SCRIPTS --sbatch=--partition=long -- --target Prisma --methods patch_linear
    """

    bids_dir: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="BIDS_DIR")]
    """Root of the BIDS dataset."""
    output_dir: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUTPUT_DIR")]
    """Output folder of all jobs; all machines must see it under this name."""
    scripts: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SCRIPTS")]
    """Folder for the scripts and the jobs' logs."""
    sif: Path | None = None
    """Apptainer image to run; by default the command bids-shresnet, which must be on the jobs' PATH."""
    sbatch: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Further option of all jobs, such as --sbatch=--account=me or a longer --sbatch=--time=2-0; may be repeated."""
    rerun: bool = False
    """Write nothing: print the commands that submit what is missing, task by task. They can be piped to bash."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    command = tyro.cli(SlurmCommand, args=arguments[:cut], prog="bids-shresnet-slurm")
    try:
        with log_to_screen(0):
            sys.stdout.write(run(command, arguments[cut + 1 :]))
    except ShresnetError as error:
        sys.stderr.write(f"bids-shresnet-slurm: {error}\n")
        return error.exit_code
    return 0


def run(command: SlurmCommand, flags: Sequence[str]) -> str:
    """Write the scripts and say how to submit them, or say what is missing."""
    config = make_paths_absolute(
        parse([str(command.bids_dir), str(command.output_dir), "participant", *flags])
    )
    resource = config.resource
    if resource.nprocs or resource.omp_nthreads or resource.memory:
        msg = "--nprocs, --omp-nthreads and --mem are set for every job by its size; change sizes with --sbatch"
        raise UsageError(msg)
    if config.input.validate_bids:
        msg = "--validate-bids would look at the whole dataset in every job; run it once with --dry-run"
        raise UsageError(msg)
    plan = inspect_dataset(config, find_models(config.model.models) if config.model.models else ())
    stop_at_errors(plan.findings)
    stop_at_empty_selection(plan.inventory, plan.selection, config.input.bids_dir)
    jobs, folder = make_jobs(plan, config), command.scripts.absolute()
    if command.rerun:
        left = [
            (job, tasks)
            for job in jobs
            if (tasks := unfinished_tasks(job, plan, config)) is not None
        ]
        return render_submission(left, folder) if left else "# nothing is missing\n"
    write_scripts(jobs, config, command, folder)
    return f"bash {shlex.quote(str(folder / 'submit.sh'))}\n"


def make_jobs(plan: Plan, config: Config) -> tuple[SlurmJob, ...]:
    """The stages; with models that are there, only the last one."""
    subjects = sorted({scan.subject for scan in plan.selection.scans})
    together = ceil(len(subjects) / MAX_ARRAY_TASKS)
    groups = tuple(tuple(subjects[at : at + together]) for at in range(0, len(subjects), together))
    scans = plan.selection.scans
    memory, voxels = (
        memory_for_scans(scans, is_spooled=config.resource.low_mem),
        max(map(voxel_count, scans)),
    )
    routes = " ".join(f"--pair {shlex.quote(pair.label)}" for pair in plan.pairs)
    harmonize = SlurmJob(
        "participant",
        "Harmonize all scans of some subjects.",
        f"participant {routes + ' ' if routes else ''}--participant-label {ALL_TASK_ARGUMENTS}",
        groups,
        1,
        ceil(memory / MB),
        time_limit(together * MINUTES_PER_MILLION_VOXELS * voxels / 1e6),
    )
    return (*(model_jobs(plan.pairs, config, routes) if plan.pairs else ()), harmonize)


def model_jobs(
    pairs: Sequence[Pair], config: Config, pair_flags: str
) -> tuple[SlurmJob, SlurmJob, SlurmJob]:
    """Prepare each travelling subject, train each fold, evaluate."""
    scans = [
        scan for pair in pairs for both in (*pair.travelling_scans, *pair.repeats) for scan in both
    ]
    subjects = tuple(
        (pair.label, source.subject) for pair in pairs for source, _ in pair.travelling_scans
    )
    counts = {pair.label: min(config.training.folds, len(pair.travelling_scans)) for pair in pairs}
    folds = tuple(
        (route, str(number)) for route, count in counts.items() for number in range(1, count + 1)
    )
    memory, most = (
        max(map(memory_for_pair, pairs)),
        max(len(pair.travelling_scans) for pair in pairs),
    )
    voxels = max(map(voxel_count, scans))
    epoch = config.training.voxels_per_epoch or most * voxels
    cpus = min(MAX_EVALUATION_CPUS, max(counts.values()))
    return (
        SlurmJob(
            "prepare",
            "Register the two scans of one travelling subject.",
            f"group --stage prepare --pair {FIRST_TASK_ARGUMENT} --participant-label {OTHER_TASK_ARGUMENTS}",
            subjects,
            1,
            ceil(memory_for_scans(scans, is_spooled=config.resource.low_mem) / MB),
            time_limit(MINUTES_PER_MILLION_VOXELS * voxels / 1e6),
        ),
        SlurmJob(
            "train",
            "Train one fold of a pair, and with it what it is compared with.",
            f"group --stage train --pair {FIRST_TASK_ARGUMENT} --fold {OTHER_TASK_ARGUMENTS}",
            folds,
            1,
            ceil(memory / MB),
            time_limit(MINUTES_PER_VOXEL_EPOCH * epoch * config.training.max_epochs),
        ),
        SlurmJob(
            "evaluate",
            "Evaluate all folds on their held-out subjects, and write the models.",
            f"group --stage evaluate {pair_flags}",
            (),
            cpus,
            cpus * ceil(memory / MB),
            time_limit(MINUTES_PER_EVALUATED_FOLD * len(folds)),
        ),
    )


def time_limit(minutes: float) -> int:
    """A time limit in minutes."""
    return min(MAX_LIMIT_MINUTES, MIN_LIMIT_MINUTES + ceil(minutes))


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


def make_container(config: Config, image: Path, scripts: Path) -> Container:
    """The image with every folder and file that the settings name."""
    tables = (
        config.input.bids_filter_file,
        config.input.bids_database_dir,
        config.scanner.scanner_map,
        config.model.models,
    )
    read = [*config.input.named_datasets().values(), *(path for path in tables if path), scripts]
    write = [path for path in (config.output.output_dir, config.output.work_dir) if path]
    for path in write:  # what is not there cannot be bound
        path.mkdir(parents=True, exist_ok=True)
    return Container(image.absolute(), tuple(read), tuple(write))


def write_scripts(
    jobs: Sequence[SlurmJob], config: Config, command: SlurmCommand, folder: Path
) -> None:
    """One script a stage, the settings that all of them share, and submit.sh."""
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
    """What all jobs share: the settings that are not the default ones."""
    plain = Config(
        input=InputSettings(config.input.bids_dir),
        output=OutputSettings(config.output.output_dir),
        run=RunSettings(config.run.analysis_level),
    )
    usual = to_record(plain)
    always = ("bids_dir", "output_dir", "analysis_level")
    return {
        name: value
        for name, value in to_record(config).items()
        if name in always or value != usual[name]
    }


def unfinished_tasks(job: SlurmJob, plan: Plan, config: Config) -> list[int] | None:
    """Tasks of a stage that have not done their work; none of them means a stage without tasks, None no stage."""
    root = output_root(config.output.output_dir)
    group = replace(config, run=replace(config.run, analysis_level="group"))
    units = [PairWork(pair, group, root) for pair in plan.pairs]
    units = [one for one in units if not one.is_complete]
    if job.name == "evaluate":
        return [] if units else None
    left: set[tuple[str, ...]] = set()
    if job.name == "prepare":
        left = {
            (one.pair.label, item.source.subject) for one in units for item in one.unprepared_jobs
        }
    elif job.name == "train":
        left = {(one.pair.label, str(item.number)) for one in units for item in one.unfitted_jobs}
    else:
        undone = {scan.subject for scan in plan.selection.scans if not has_output(scan, root)}
        left = {unit for unit in job.task_arguments if undone & set(unit)}
    return [at for at, unit in enumerate(job.task_arguments) if unit in left] or None
