"""The command line: a field is a flag, its text the help, its value the record of the run.

Nothing heavy is imported here, so that `--help` and `--version` answer at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from bids_shresnet.errors import UnknownLevel, UsageError
from bids_shresnet.settings import (
    METHODS,
    PAPER_NETWORK,
    PAPER_TRAINING,
    SLOPPY_TRAINING,
    Method,
    NetworkConfig,
    TrainingConfig,
)

RAW_DATASET_NAME = "raw"  # what BIDS URIs call the input dataset
AnalysisLevel = Literal["participant", "group"]
Stage = Literal["all", "prepare", "train", "evaluate"]
ALL_TARGETS = "all"  # --target: every scanner in turn
ANALYSIS_LEVELS: Mapping[
    str, AnalysisLevel
] = {  # and what the BIDS execution specification calls them
    "participant": "participant",
    "group": "group",
    "subject": "participant",
    "dataset": "group",
}
LABEL_PATTERN = re.compile(r"[0-9A-Za-z+]+")
DEVICE_PATTERN = re.compile(r"auto|cpu|cuda(:\d+)?")
MEMORY_PATTERN = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?", re.IGNORECASE)
BYTES_PER_UNIT = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def _aliases(*names: str) -> object:
    return tyro.conf.arg(aliases=names)


@dataclass(frozen=True)
class Config:
    """Make diffusion MRI from different scanners comparable.

    Subjects scanned on two scanners ("travelling subjects") teach the app, pair by pair, to turn the source
    scanner's signal into what the target scanner would have measured; every other scan of the source scanner is
    then rewritten: harmonized DWI, FA and MD in OUTPUT_DIR/derivatives/shresnet.

    Beside what is listed below, --config-file FILE runs the logs/<run>/config.json of an earlier run again (what else
    is given wins), --version prints the version, and --bids-exec-spec a Boutiques descriptor of all this.
    """

    bids_dir: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="BIDS_DIR")]
    """Root of the BIDS dataset; it is only read."""
    output_dir: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUTPUT_DIR")]
    """Where `derivatives/shresnet` is written."""
    analysis_level: Annotated[
        tyro.conf.Positional[str], tyro.conf.arg(metavar="{participant,group}")
    ]
    """participant: find pairs, train or load models, harmonize. group: train every pair and prove
    it on held-out subjects, harmonize nothing. `participant group` does both, the group first."""

    participant_label: Annotated[
        tuple[str, ...],
        _aliases(
            "--participant_label", "--participant-labels", "--participant_labels", "--subject-label"
        ),
    ] = ()
    """Subjects to harmonize, with or without `sub-`; all by default. Training still uses every travelling subject.
    With --stage prepare, the subjects to prepare."""
    exclude_participant_label: Annotated[
        tuple[str, ...], _aliases("--exclude_participant_label")
    ] = ()
    """Subjects to use for nothing, neither training nor harmonizing: a phantom, for instance."""
    session_label: Annotated[tuple[str, ...], _aliases("--session_label", "--session-id")] = ()
    """Sessions to harmonize, with or without `ses-`; all by default."""
    derivatives: Annotated[tuple[str, ...], _aliases("-d", "--datasets")] = ()
    """NAME=PATH of derivatives of the same data. Found there and used: brain masks and tissue segmentations on a scan's
    grid, and preprocessed DWI (desc-preproc_dwi) in place of the raw ones."""
    bids_filter_file: Annotated[Path | None, _aliases("--bids_filter_file")] = None
    """JSON that says which DWI to use at all, {"dwi": {"acquisition": "b1200", "run": [1, 2], "direction": null}}: a
    value, several, null for a name without the entity, "*" for any."""
    bids_database_dir: Annotated[Path | None, _aliases("--bids_database_dir")] = None
    """Folder of a pybids database of BIDS_DIR, as other apps make it: files are looked up there and not on the disk. It
    is made where there is none, and never renewed: delete it when files have come or gone."""

    stage: Stage = "all"
    """group: do only a part of it, as a job of a cluster. prepare: register the travelling subjects, or those of
    `participant-label`. train: fit the folds, or those of `fold`. evaluate: try them, and write the model."""
    fold: tuple[int, ...] = ()
    """--stage train: only the folds with these numbers, from 1."""

    target: str | None = None
    """Scanner to harmonize to: its label, or a part of it that names one scanner; `all` for each in turn. By default
    the one that lets most scans be harmonized, then the one with most directions, then the first by label."""
    pair: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """SOURCE:TARGET, labels or parts of them: only this pair; may be given several times."""
    scanner_map: Path | None = None
    """TSV with columns `scan` (a file name, or a `sub-..`, `ses-..` or `sub-.._ses-..` part of it) and `scanner`."""
    scanner_column: str = "scanner"
    """Column of scans.tsv, sessions.tsv or participants.tsv that names the scanner."""
    scanner_from: str | None = None
    """Regular expression over the file name with a group `scanner`, e.g. 'ses-(?P<scanner>[a-z]+)'."""

    split_by: Annotated[tuple[str, ...], _aliases("--split_by")] = ()
    """Sidecar keys whose values make several scanners of one, e.g. SoftwareVersions after an upgrade."""

    models: Annotated[Path | None, _aliases("--model-dir")] = None
    """Trained models to use instead of training: `models/` of another run, or one `from-.._to-..` of it."""
    method: Method = "shresnet"
    """Harmonizer to apply. `group` compares all of `methods`, whichever is applied."""
    methods: tuple[Method, ...] = METHODS
    """group: what to compare in the cross-validation, besides doing nothing and ComBat (by voxel, with
    linear_rish, whose template it needs)."""
    paper: bool = False
    """Do exactly as the paper did: its network, its two-stage schedule on all voxels, RISH projection, nothing else."""
    validation: bool = True
    """group: cross-validate. Without it models are only trained."""
    resblocks: tuple[int, ...] = ()
    """group: also train networks with these numbers of ResBlocks and compare them, as in the paper's Table 1."""
    require_validation: bool = False
    """participant: refuse to harmonize with a model that is not proven to be better than doing nothing."""
    abstain: bool = False
    """Leave voxels as they were that are unlike anything in the training data (desc-novelty_dwimap above 1). They then
    hold the source's signal, measured at its own b-value."""
    predict_missing_shells: bool = False
    """Add the shells that the target has and the source lacks: predicted from those it has, never measured. They are
    volumes of their own at the end of the harmonized DWI, marked in its sidecar; FA and MD do not use them."""
    output_directions: Literal["source", "target"] = "source"
    """Gradient table of the harmonized DWI."""
    sh_order: Annotated[int | None, _aliases("--lmax")] = None
    """Order of the spherical harmonics; by default 4, or 2 where a shell has fewer than 15 directions."""

    work_dir: Annotated[Path | None, _aliases("-w")] = None
    """Folder for training pairs; by default a hidden one in the output, removed once the models are complete."""
    clean_workdir: Annotated[bool, _aliases("--clean_workdir")] = False
    """Remove what earlier runs left in the work folder of a scanner pair before preparing it."""
    dry_run: bool = False
    """Check everything, print scanners, scans, pairs and findings, and do nothing."""
    json: bool = False
    """With --dry-run: print them as one JSON document."""
    reports_only: Annotated[bool, _aliases("--reports_only")] = False
    """Write group.html with its tables and figures, and the page of each subject, again from the output alone."""
    boilerplate_only: Annotated[bool, _aliases("--boilerplate_only", "--boilerplate")] = False
    """Write the methods text, logs/CITATION.md and .bib, from the models in the output, and do nothing else."""
    stop_on_first_crash: Annotated[bool, _aliases("--stop_on_first_crash")] = False
    """Begin no other scan once one has failed."""
    nprocs: Annotated[
        int | None, _aliases("--nthreads", "--n_procs", "--n-procs", "--n_cpus", "--n-cpus")
    ] = None
    """Processes at a time; by default one a core that this job may use, as far as memory allows."""
    omp_nthreads: Annotated[int | None, _aliases("--omp_nthreads")] = None
    """Threads a process; by default the cores left over by `nprocs`."""
    mem: Annotated[str | None, _aliases("--mem-mb", "--mem_mb")] = None
    """Memory to use, in MB or with a unit: 8000, 8G. Bounds how many scans are worked on at a time; by default what
    this job may use."""
    mem_gb: Annotated[float | None, _aliases("--mem_gb")] = None
    """The same in GB."""
    low_mem: Annotated[bool, _aliases("--low_mem")] = False
    """Keep the series being worked on in files of the work folder and not in memory: slower where memory is short, and
    the same results."""
    device: str = "cpu"
    """Where networks run: cpu, cuda, cuda:N, or auto (a GPU if there is one)."""
    random_seed: Annotated[int, _aliases("--random_seed")] = 2018
    """Seed of everything that is drawn."""
    skip_bids_validation: Annotated[
        bool, _aliases("--skip_bids_validation", "--skip-bids-validator")
    ] = False
    """Accepted for the runners that pass it; the app checks what it uses itself."""
    validate_bids: Annotated[bool, _aliases("--validate_bids")] = False
    """Have the official validator, bids-validator-deno, look at all of BIDS_DIR too, and stop at its errors."""
    verbose: Annotated[tyro.conf.UseCounterAction[int], _aliases("-v")] = 0
    """Say more; twice for debugging."""
    debug: bool = False
    """The same as -vv."""
    sloppy: bool = False
    """For tests only: train so briefly that the result is worth nothing."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        for name, prefix in (
            ("participant_label", "sub-"),
            ("exclude_participant_label", "sub-"),
            ("session_label", "ses-"),
        ):
            object.__setattr__(self, name, _clean_labels(getattr(self, name), prefix))
        if self.bids_dir.resolve() == self.output_dir.resolve():
            msg = f"the output folder {self.output_dir} is the dataset itself; name another one"
            raise UsageError(msg)
        _check_contradictions(self)
        _check_stage_flags(self)
        self._check_level_and_resources()
        if self.abstain and self.output_directions == "target":
            msg = "--abstain leaves voxels as they were measured, which --output-directions target cannot"
            raise UsageError(msg)
        self._expand_flags()
        if self.sh_order is not None and (self.sh_order < 2 or self.sh_order % 2):
            msg = f"--sh-order {self.sh_order}: only even orders from 2 up describe a diffusion signal"
            raise UsageError(msg)

    def _expand_flags(self) -> None:
        """Set the settings that --debug, --paper and --sloppy stand for; the method to apply is always compared."""
        if self.debug:
            object.__setattr__(self, "verbose", max(self.verbose, 2))
        if self.paper:
            object.__setattr__(
                self, "network", replace(PAPER_NETWORK, resblocks=self.network.resblocks)
            )
            object.__setattr__(self, "training", replace(PAPER_TRAINING, folds=self.training.folds))
            object.__setattr__(self, "method", "shresnet_projected")
        if self.sloppy:
            object.__setattr__(
                self, "training", replace(SLOPPY_TRAINING, folds=self.training.folds)
            )
        if self.method not in self.methods:
            object.__setattr__(self, "methods", (self.method, *self.methods))

    def _check_level_and_resources(self) -> None:
        """Check the level, the folders and what the machine is asked for."""
        if self.analysis_level not in ANALYSIS_LEVELS:
            msg = f"unknown analysis level {self.analysis_level}; it is participant or group"
            raise UnknownLevel(msg)
        object.__setattr__(self, "analysis_level", ANALYSIS_LEVELS[self.analysis_level])
        if self.work_dir is not None and self.work_dir.resolve().is_relative_to(
            self.bids_dir.resolve()
        ):
            msg = f"--work-dir {self.work_dir} is inside the dataset, which is only read; name another one"
            raise UsageError(msg)
        if not DEVICE_PATTERN.fullmatch(self.device):
            msg = f"--device {self.device}: it is cpu, cuda, cuda:N or auto"
            raise UsageError(msg)
        for flag, count in (
            ("--nprocs", self.nprocs),
            ("--omp-nthreads", self.omp_nthreads),
            ("--mem", self.memory),
        ):
            if count is not None and count < 1:
                msg = f"{flag} must be 1 or more"
                raise UsageError(msg)

    @property
    def memory(self) -> int | None:
        """Bytes that the run may use; None if nothing is said.

        Raises
        ------
        UsageError
            If it is said twice, or not as an amount.
        """
        if self.mem is None:
            return None if self.mem_gb is None else int(self.mem_gb * BYTES_PER_UNIT["G"])
        amount = MEMORY_PATTERN.fullmatch(self.mem)
        if self.mem_gb is not None or amount is None:
            msg = f"--mem {self.mem}: give one amount, in MB or with a unit (K, M, G or T), or --mem-gb"
            raise UsageError(msg)
        return int(float(amount[1]) * BYTES_PER_UNIT[amount[2].upper() or "M"])

    def named_datasets(self) -> dict[str, Path]:
        """The input and its derivatives by the names that BIDS URIs call them; PATH alone is named after its folder.

        Raises
        ------
        UsageError
            If two have one name.
        """
        paths = {RAW_DATASET_NAME: self.bids_dir}
        for entry in self.derivatives:
            name, separator, path = entry.partition("=")
            folder = Path(path if separator else entry)
            name = name if separator else folder.name
            if name in paths:
                msg = f"--derivatives: two datasets are named {name}, {paths[name]} and {folder}; write NAME=PATH"
                raise UsageError(msg)
            paths[name] = folder
        return paths


def _check_contradictions(config: Config) -> None:
    """Refuse flags of discovery and pairing that do not go together."""
    database, root = config.bids_database_dir, config.bids_dir
    if database and database.resolve().is_relative_to(root.resolve()):
        msg = f"--bids-database-dir {database} is in the dataset, which is only read; name another one"
        raise UsageError(msg)
    if config.json and not config.dry_run:
        msg = "--json says how --dry-run prints; give both"
        raise UsageError(msg)
    if config.validate_bids and config.skip_bids_validation:
        msg = "--validate-bids and --skip-bids-validation contradict each other; give one"
        raise UsageError(msg)
    if config.pair and config.target:
        msg = "--pair names its target itself; leave --target out"
        raise UsageError(msg)
    for pair in config.pair:
        if not re.fullmatch("[^:]+:[^:]+", pair):
            msg = f"--pair {pair}: write SOURCE:TARGET, two scanners with a colon between them"
            raise UsageError(msg)


def _check_stage_flags(config: Config) -> None:
    """Refuse parts of a group run that do not go with what else is asked for."""
    if config.stage != "all" and (
        ANALYSIS_LEVELS.get(config.analysis_level) != "group" or config.models
    ):
        msg = f"--stage {config.stage} is a part of training models: it goes with `group`, and without --models"
        raise UsageError(msg)
    if config.fold and config.stage != "train":
        msg = "--fold says which folds --stage train fits; give both"
        raise UsageError(msg)
    if config.clean_workdir and config.stage != "all":
        msg = f"--clean-workdir removes what other jobs need now; remove the work folder before --stage {config.stage}"
        raise UsageError(msg)


def _clean_labels(labels: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    """Labels without their prefix, each once."""
    bare = tuple(dict.fromkeys(label.removeprefix(prefix) for label in labels))
    wrong = [label for label in bare if not LABEL_PATTERN.fullmatch(label)]
    if wrong:
        msg = f"not BIDS labels: {' '.join(wrong)}. They are letters and digits; is it a flag with a long dash?"
        raise UsageError(msg)
    return bare
