"""The settings of a run: every field is a flag of the command line, and its text is the help.

Nothing heavy is imported here, so that `--help` and `--version` answer at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from bids_shresnet.errors import UsageError
from bids_shresnet.settings import (
    DEFAULT_METHOD,
    METHODS,
    AppliedMethod,
    FitSettings,
    Method,
    NetworkConfig,
    NoiseChoice,
    OutputType,
    TrainingConfig,
)

RAW_DATASET_NAME = "raw"  # the input dataset in BIDS URIs
AnalysisLevel = Literal["participant", "group"]
Stage = Literal["all", "prepare", "train", "evaluate"]
ALL_TARGETS = "all"  # --target: every scanner in turn
ANALYSIS_LEVELS: Mapping[str, AnalysisLevel] = {  # the last two: as the specification names them
    "participant": "participant",
    "group": "group",
    "subject": "participant",
    "dataset": "group",
}
DEFAULT_SCANNER_COLUMN = "scanner"


@dataclass(frozen=True)
class Aliases:
    """Further spellings of a flag: a short one, or names that other BIDS Apps give it.

    The command line replaces them before it is parsed, and underscores by dashes.
    """

    names: tuple[str, ...]


@dataclass(frozen=True)
class InputSettings:
    """The dataset, and which of its data to use and to harmonize."""

    bids_dir: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="BIDS_DIR")]
    """Root of the BIDS dataset; it is only read."""
    participant_label: Annotated[
        tuple[str, ...],
        Aliases(("--participant-labels", "--subject-label")),
    ] = ()
    """Subjects to harmonize, with or without `sub-`; all by default. Training still uses every
    travelling subject. With --stage prepare, the subjects to prepare."""
    exclude_participant_label: tuple[str, ...] = ()
    """Subjects to exclude from both training and harmonization (e.g. a phantom)."""
    session_label: Annotated[tuple[str, ...], Aliases(("--session-id",))] = ()
    """Sessions to harmonize, with or without `ses-`; all by default."""
    derivatives: Annotated[tuple[str, ...], Aliases(("-d", "--datasets"))] = ()
    """NAME=PATH of derivatives of the same data. The app uses their brain masks and tissue
    segmentations on a scan's grid, and their preprocessed DWI (desc-preproc_dwi) instead of raw
    ones."""
    bids_filter_file: Path | None = None
    """JSON file that selects the DWI to use, {"dwi": {"acquisition": "b1200", "run": [1, 2],
    "direction": null}}: a value, several values, null for names without the entity, "*" for any."""
    bids_database_dir: Path | None = None
    """Folder of a pybids database of BIDS_DIR, as other apps make it; files are looked up there
    and not on the disk. It is created if it does not exist, and never updated: delete it when
    files were added or removed."""
    skip_bids_validation: Annotated[bool, Aliases(("--skip-bids-validator",))] = False
    """Accepted for programs that pass it; the app checks what it uses itself."""
    validate_bids: bool = False
    """Also run the official validator, bids-validator-deno, on all of BIDS_DIR, and stop at its
    errors."""

    def named_datasets(self) -> dict[str, Path]:
        """The input and its derivatives by their names in BIDS URIs.

        A PATH without a name is named after its folder.

        Raises
        ------
        UsageError
            If two datasets have one name.
        """
        paths = {RAW_DATASET_NAME: self.bids_dir}
        for entry in self.derivatives:
            name, separator, path = entry.partition("=")
            folder = Path(path if separator else entry)
            name = name if separator else folder.name
            same = [known for known, other in paths.items() if other.resolve() == folder.resolve()]
            if same:
                msg = f"--derivatives: {folder} is given twice, as {same[0]} and as {name}"
                raise UsageError(msg)
            if name in paths:
                msg = (
                    f"--derivatives: two datasets are named {name}, {paths[name]} and {folder}; "
                    f"write NAME=PATH"
                )
                raise UsageError(msg)
            paths[name] = folder
        return paths


@dataclass(frozen=True)
class OutputSettings:
    """Folders for results and intermediate files."""

    output_dir: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUTPUT_DIR")]
    """Folder for the results; they are written to `derivatives/shresnet` in it."""
    work_dir: Annotated[Path | None, Aliases(("-w",))] = None
    """Folder for intermediate files; by default a hidden one in the output, which is removed once
    the models are complete. Several outputs may share it."""
    output_dtype: OutputType = "input"
    """Numbers of the harmonized DWI. input: int16 if the input has integers of 16 bits, else
    float32. int16 takes half of the space; its rounding error is below 1 % of the noise."""
    clean_workdir: bool = False
    """Delete the intermediate files of earlier runs and start over."""


@dataclass(frozen=True)
class RunSettings:
    """The part of the work to do, and how to report it."""

    analysis_level: Annotated[
        tyro.conf.Positional[str], tyro.conf.arg(metavar="{participant,group}")
    ]
    """participant: harmonize scans (training models first if needed). group: train and
    cross-validate models; no scans are harmonized. `participant group` does both, the group
    first."""
    stage: Stage = "all"
    """group: only one stage, as a job of a cluster. prepare: register the travelling subjects, or
    those of `participant-label`. train: fit the folds, or those of `fold`. evaluate: test the
    folds on their held-out subjects and write the model."""
    fold: tuple[int, ...] = ()
    """--stage train: only the folds with these numbers, from 1; 0 is the fit to all subjects."""
    dry_run: bool = False
    """Check everything and print scanners, scans, pairs and findings (-v: all); write nothing."""
    json: bool = False
    """With --dry-run: print one JSON document."""
    reports_only: bool = False
    """Write group.html with its tables and figures, and the page of each subject, again from the
    output alone."""
    boilerplate_only: Annotated[bool, Aliases(("--boilerplate",))] = False
    """Write only the methods text, logs/CITATION.md and .bib, and group_qc.tsv, the table of scans
    that it counts, again from the output."""
    stop_on_first_crash: bool = False
    """Start no other scan once one has failed."""
    verbose: Annotated[tyro.conf.UseCounterAction[int], Aliases(("-v",))] = 0
    """Log more; twice for debugging."""
    debug: bool = False
    """Short for -vv."""
    sloppy: bool = False
    """For tests only: train so briefly that the models are useless."""


@dataclass(frozen=True)
class ScannerSettings:
    """Identification and pairing of scanners."""

    target: str | None = None
    """Scanner to harmonize to: its label, or a part of it that names one scanner; `all` for each in
    turn. By default the one that lets most scans be harmonized, then the one with most directions,
    then the first by label."""
    pair: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """SOURCE:TARGET, labels or parts of them: only this pair; may be given several times."""
    scanner_map: Path | None = None
    """TSV with columns `scan` (a file name, or a `sub-..`, `ses-..` or `sub-.._ses-..` part of it)
    and `scanner`."""
    scanner_column: str = DEFAULT_SCANNER_COLUMN
    """Column of scans.tsv, sessions.tsv or participants.tsv that names the scanner."""
    scanner_from: str | None = None
    """Regular expression for the file name with a group `scanner`, e.g.
    'ses-(?P<scanner>[a-z]+)'."""
    split_by: tuple[str, ...] = ()
    """Sidecar keys whose values split one scanner into several, e.g. SoftwareVersions after an
    upgrade."""
    alias: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """LABEL=NAME: call a scanner, by its label or a part of it, NAME in files, reports and flags;
    may be given several times."""
    anonymize_scanners: bool = False
    """Keep serial numbers out of all names, sidecars and reports. A scanner without `alias` is
    called by its model and a letter, in the order of serial numbers."""


@dataclass(frozen=True)
class ModelSettings:
    """Which models are trained, validated and used."""

    models: Annotated[Path | None, Aliases(("--model-dir",))] = None
    """Trained models to use instead of training: `models/` of another run, or one `from-.._to-..`
    of it."""
    retrain: bool = False
    """Train and validate models again that the output already has, for instance with more
    travelling subjects. The old ones are deleted."""
    method: AppliedMethod = DEFAULT_METHOD
    """Method to harmonize with. `group` compares all of `methods`, whichever this is."""
    methods: tuple[Method, ...] = METHODS
    """group: methods to compare in the cross-validation, next to no harmonization and to ComBat (by
    voxel, with linear_rish, whose template it needs). map_regression predicts FA and MD only."""
    paper: bool = False
    """Use the paper's method: its network, its two-stage schedule on all voxels, RISH
    projection, nothing else."""
    validation: bool = True
    """group: cross-validate. Without it models are only trained."""
    resblocks: tuple[int, ...] = ()
    """group: also train networks with these numbers of ResBlocks and compare them, as in the
    paper's Table 1."""
    require_validation: bool = False
    """participant: stop if a model is not validated to be better than no harmonization and than
    denoising."""
    predict_missing_shells: bool = False
    """Add the shells that the target has and the source lacks: predicted from those it has, never
    measured. They are separate volumes at the end of the harmonized DWI, marked in its sidecar; FA
    and MD do not use them."""
    sh_order: Annotated[int | None, Aliases(("--lmax",))] = None
    """Order of the spherical harmonics (2, 4, 6 or 8); by default 4, or 2 if a shell has fewer than
    15 different directions on one of both scanners."""


@dataclass(frozen=True)
class HarmonizationSettings:
    """Application of models to scans."""

    abstain: bool = False
    """Leave out-of-distribution voxels (e.g. lesions; desc-novelty_dwimap above 1) unharmonized.
    They keep the source's signal; where the target has another b-value, it is brought to it
    (mono-exponential decay), so that their tensor stays as measured."""
    output_directions: Literal["source", "target"] = "source"
    """Gradient table of the harmonized DWI."""
    noise: NoiseChoice = "none"
    """Noise in the harmonized DWI. none: it has nearly none. target: one draw of the target
    scanner's noise, so that it compares with the target's own scans in any pipeline. FA and MD are
    the same either way."""


@dataclass(frozen=True)
class ResourceSettings:
    """Processors, memory and random numbers."""

    nprocs: Annotated[int | None, Aliases(("--nthreads", "--n-procs", "--n-cpus"))] = None
    """Number of parallel processes; by default one per core that this job may use, as far as memory
    allows."""
    omp_nthreads: int | None = None
    """Threads per process; by default the cores left over by `nprocs`."""
    mem: Annotated[str | None, Aliases(("--mem-mb",))] = None
    """Memory to use, in MB or with a unit: 8000, 8G. It limits how many scans are processed in
    parallel; by default what this job may use."""
    mem_gb: float | None = None
    """Memory to use, in GB."""
    low_mem: bool = False
    """Keep DWI data in files of the work folder instead of memory. This is slower where memory is
    short; results are the same."""
    device: str = "cpu"
    """Device for the networks: cpu, cuda, cuda:N, or auto (a GPU if there is one)."""
    random_seed: int = 2018
    """Seed of all random numbers."""


@dataclass(frozen=True)
class Config:
    """Make diffusion MRI from different scanners comparable.

    The app trains on subjects scanned on two scanners ("travelling subjects"), pair by pair, to
    predict from the source scanner's signal what the target scanner would have measured. It then
    harmonizes every other scan of the source scanner and writes harmonized DWI, FA and MD to
    OUTPUT_DIR/derivatives/shresnet.
    """

    input: tyro.conf.OmitArgPrefixes[InputSettings]
    output: tyro.conf.OmitArgPrefixes[OutputSettings]
    run: tyro.conf.OmitArgPrefixes[RunSettings]
    scanner: tyro.conf.OmitArgPrefixes[ScannerSettings] = field(default_factory=ScannerSettings)
    model: tyro.conf.OmitArgPrefixes[ModelSettings] = field(default_factory=ModelSettings)
    harmonization: tyro.conf.OmitArgPrefixes[HarmonizationSettings] = field(
        default_factory=HarmonizationSettings
    )
    resource: tyro.conf.OmitArgPrefixes[ResourceSettings] = field(default_factory=ResourceSettings)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    @property
    def fit(self) -> FitSettings:
        """Settings for fitting harmonizers."""
        return FitSettings(
            network=self.network,
            training=self.training,
            seed=self.resource.random_seed,
            device=self.resource.device,
        )
