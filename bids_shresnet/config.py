"""The command line: a field is a flag, its text the help, its value the record of the run.

Nothing heavy is imported here, so that `--help` and `--version` answer at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from bids_shresnet.errors import UsageError

RAW = "raw"  # what BIDS URIs call the input dataset
AnalysisLevel = Literal["participant", "group"]
LABEL = re.compile(r"[0-9A-Za-z+]+")


@dataclass(frozen=True)
class NetworkConfig:
    """The network: SHResNet (Koppers et al. 2018)."""

    resblocks: int = 2
    """Number of ResBlocks; the paper's best is 2."""
    hidden: int | None = None
    """Channels inside a functional unit; by default as many as there are coefficients."""


@dataclass(frozen=True)
class TrainingConfig:
    """The schedule: Adam for a start, then SGD until the validation subject sees no more progress."""

    folds: int = 10
    """Networks per scanner pair, trained on different subjects; one a subject if there are fewer."""
    voxels_per_epoch: int = 80_000
    """Grey- and white-matter voxels drawn for one epoch."""
    max_epochs: int = 10
    """End of training if early stopping has not ended it."""
    adam_epochs: int = 5
    """Epochs of the first stage."""
    adam_learning_rate: float = 1e-3
    """Step size of Adam."""
    adam_batch: int = 256
    """Voxels a step in the first stage."""
    sgd_learning_rate: float = 1e-3
    """First step size of SGD."""
    sgd_momentum: float = 0.9
    """Momentum of SGD."""
    sgd_batch: int = 128
    """Voxels a step in the second stage."""
    decay: float = 0.9
    """Factor on SGD's step size after `decay-patience` epochs without progress."""
    decay_patience: int = 5
    """Epochs without progress of the validation loss before the step size falls."""
    stop_patience: int = 10
    """Epochs without progress of the validation loss before training ends."""


def _aliases(*names: str) -> object:
    return tyro.conf.arg(aliases=names)


@dataclass(frozen=True)
class Config:
    """Make diffusion MRI from different scanners comparable.

    Subjects scanned on two scanners ("travelling subjects") teach the app, pair by pair, to turn the source
    scanner's signal into what the target scanner would have measured; every other scan of the source scanner is
    then rewritten: harmonized DWI, FA and MD in OUTPUT_DIR/derivatives/shresnet.
    """

    bids_dir: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="BIDS_DIR")]
    """Root of the BIDS dataset; it is only read."""
    output_dir: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUTPUT_DIR")]
    """Where `derivatives/shresnet` is written."""
    analysis_level: tyro.conf.Positional[AnalysisLevel]
    """participant: find pairs, train or load models, harmonize. group: train every pair, harmonize nothing."""

    participant_label: Annotated[tuple[str, ...], _aliases("--participant_label", "--subject-label")] = ()
    """Subjects to harmonize, with or without `sub-`; all by default. Training still uses every travelling subject."""
    session_label: Annotated[tuple[str, ...], _aliases("--session_label", "--session-id")] = ()
    """Sessions to harmonize, with or without `ses-`; all by default."""
    derivatives: Annotated[tuple[str, ...], _aliases("-d", "--datasets")] = ()
    """NAME=PATH of derivatives of the same data. Found there and used: brain masks and tissue segmentations on a scan's
    grid, and preprocessed DWI (desc-preproc_dwi) in place of the raw ones."""

    target: str | None = None
    """Scanner to harmonize to: its label, or a part of it that names one scanner. By default the one that lets most
    scans be harmonized, then the one with most directions, then the first by label."""
    scanner_map: Path | None = None
    """TSV with columns `scan` (a file name, or a `sub-..`, `ses-..` or `sub-.._ses-..` part of it) and `scanner`."""
    scanner_column: str = "scanner"
    """Column of scans.tsv, sessions.tsv or participants.tsv that names the scanner."""
    scanner_from: str | None = None
    """Regular expression over the file name with a group `scanner`, e.g. 'ses-(?P<scanner>[a-z]+)'."""

    models: Path | None = None
    """Trained models to use instead of training: `models/` of another run, or one `from-.._to-..` of it."""
    rish_projection: bool = True
    """Keep the measured orientation; take only the power of each order from the network (paper, Eq. 1)."""
    output_directions: Literal["source", "target"] = "source"
    """Gradient table of the harmonized DWI."""
    sh_order: int | None = None
    """Order of the spherical harmonics; by default 4, or 2 where a shell has fewer than 15 directions."""

    work_dir: Annotated[Path | None, _aliases("-w")] = None
    """Folder for training pairs; by default a hidden one in the output, removed once the models are complete."""
    dry_run: bool = False
    """Print scanners, scans and pairs, and do nothing."""
    nprocs: Annotated[int | None, _aliases("--nthreads", "--n_cpus", "--n-cpus")] = None
    """Processes at a time; by default one a core that this job may use."""
    omp_nthreads: Annotated[int | None, _aliases("--omp_nthreads")] = None
    """Threads a process; by default the cores left over by `nprocs`."""
    device: str = "cpu"
    """Where networks run: cpu, cuda or cuda:N."""
    random_seed: Annotated[int, _aliases("--random_seed")] = 2018
    """Seed of everything that is drawn."""
    skip_bids_validation: Annotated[bool, _aliases("--skip_bids_validation", "--skip-bids-validator")] = False
    """Accepted for the runners that pass it; the app checks what it uses itself."""
    verbose: Annotated[tyro.conf.UseCounterAction[int], _aliases("-v")] = 0
    """Say more; twice for debugging."""

    network: NetworkConfig = field(default_factory=NetworkConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        for name, prefix in (("participant_label", "sub-"), ("session_label", "ses-")):
            object.__setattr__(self, name, _labels(getattr(self, name), prefix))
        if self.bids_dir.resolve() == self.output_dir.resolve():
            msg = f"the output folder {self.output_dir} is the dataset itself; name another one"
            raise UsageError(msg)
        if self.sh_order is not None and (self.sh_order < 2 or self.sh_order % 2):
            msg = f"--sh-order {self.sh_order}: only even orders from 2 up describe a diffusion signal"
            raise UsageError(msg)

    def named_datasets(self) -> dict[str, Path]:
        """The input and its derivatives by the names that BIDS URIs call them; PATH alone is named after its folder.

        Raises
        ------
        UsageError
            If two have one name.
        """
        paths = {RAW: self.bids_dir}
        for entry in self.derivatives:
            name, separator, path = entry.partition("=")
            folder = Path(path if separator else entry)
            name = name if separator else folder.name
            if name in paths:
                msg = f"--derivatives: two datasets are named {name}, {paths[name]} and {folder}; write NAME=PATH"
                raise UsageError(msg)
            paths[name] = folder
        return paths


def _labels(labels: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    """Labels without their prefix, each once."""
    bare = tuple(dict.fromkeys(label.removeprefix(prefix) for label in labels))
    wrong = [label for label in bare if not LABEL.fullmatch(label)]
    if wrong:
        msg = f"not BIDS labels: {' '.join(wrong)}. They are letters and digits; is it a flag with a long dash?"
        raise UsageError(msg)
    return bare
