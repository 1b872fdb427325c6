"""Write the phantom: a raw BIDS dataset of simulated travelling heads and, beside it, the truth."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from bids_shresnet.diffusion.tensors import fit_tensor_maps
from bids_shresnet.errors import ShresnetError, UsageError
from bids_shresnet.io.images.nifti_writing import write_dwi, write_volume
from bids_shresnet.io.storage import write_json, write_text, write_tsv
from bids_shresnet.phantom.anatomy import Person, PhantomTissue
from bids_shresnet.phantom.atlas import Atlas, build_atlas, read_atlas_maps
from bids_shresnet.phantom.head import draw_session, simulate_dwi, simulate_t1w, simulate_true_dwi
from bids_shresnet.phantom.protocols import SCANNERS, SOURCE_SESSION, TARGET_SESSION
from bids_shresnet.phantom.raw_files import write_raw_dwi, write_raw_image
from bids_shresnet.phantom.score import format_scores, score_scans
from bids_shresnet.scans import Dwi

MIN_TENSOR_DIRECTIONS = 6  # a tensor has six numbers
MINIMUM_SETTINGS = {
    "subjects": 0,
    "apply_only": 0,
    "voxel_mm": 1.5,
    "directions": MIN_TENSOR_DIRECTIONS,
    "seed": 0,
}
T1W_SCALE = 1000.0  # intensity written for 1
T1W_SIDECAR = {"EchoTime": 0.003, "RepetitionTime": 2.3, "InversionTime": 0.9, "FlipAngle": 9}
IDENTITY_FIELDS = (
    "Manufacturer",
    "ManufacturersModelName",
    "DeviceSerialNumber",
    "MagneticFieldStrength",
)
DATASET_DESCRIPTION = {
    "Name": "Simulated travelling heads",
    "BIDSVersion": "1.11.1",
    "DatasetType": "raw",
    "License": "CC0",
}
PARTICIPANT_COLUMNS = {
    "travelling": {
        "Description": "Where scanned",
        "Levels": {"yes": "on both scanners", "no": "on the source scanner alone"},
    }
}
README_TEXT = """# Simulated travelling heads

Every travelling subject was scanned on both scanners, ses-ge (the source) and ses-prisma (the
target), the others on the source alone. No person was measured: heads are random deformations of
the MNI ICBM152 template, signals are computed. Made by `bids-shresnet-phantom`, the test object of
bids_shresnet.
"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PhantomConfig:
    """Settings of the simulation."""

    subjects: int = 3
    """Travelling subjects: scanned on both scanners."""
    apply_only: int = 1
    """Further subjects, scanned on the source scanner alone."""
    voxel_mm: float = 4.0
    """Edge of a voxel."""
    directions: int = 30
    """Gradient directions of either scanner."""
    seed: int = 1
    """Seed of heads, poses and noise."""
    truth: bool = True
    """Write OUT/truth: each source scan as the target would have measured it, without noise."""

    def __post_init__(self) -> None:
        for name, minimum in MINIMUM_SETTINGS.items():
            value = getattr(self, name)
            if value < minimum:
                msg = f"--{name.replace('_', '-')} {value}: must be {minimum} or more"
                raise UsageError(msg)

    @property
    def travelling_by_number(self) -> dict[int, bool]:
        """Whether each subject, counted from 1, was scanned on both scanners."""
        numbers = range(1, self.subjects + self.apply_only + 1)
        return {number: number <= self.subjects for number in numbers}


@dataclass(frozen=True)
class PhantomArguments:
    """Simulate travelling heads with known truth, or score harmonized scans against it."""

    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Folder of the phantom: OUT/bids is the dataset, OUT/truth the truth."""
    score: Path | None = None
    """Only print a table that compares the harmonized DWI in this folder with OUT/truth."""
    settings: tyro.conf.OmitArgPrefixes[PhantomConfig] = field(default_factory=PhantomConfig)


@dataclass(frozen=True)
class Visit:
    """A visit of a person to a scanner.

    Attributes
    ----------
    out
        Folder of the phantom.
    number
        Number of the subject, from 1.
    session
        Label of the session, which names the scanner.
    """

    out: Path
    number: int
    session: str

    @property
    def subject(self) -> str:
        """`sub-<label>`."""
        return f"sub-{self.number:02d}"

    def raw_stem(self, datatype: str, suffix: str) -> Path:
        """Path of a file of the dataset without its extension."""
        folder = self.out / "bids" / self.subject / f"ses-{self.session}" / datatype
        return folder / f"{self.subject}_ses-{self.session}_{suffix}"

    @property
    def truth_stem(self) -> Path:
        """Path of the truth without suffix and extension."""
        return self.out / "truth" / self.subject / f"ses-{self.session}_to-{TARGET_SESSION}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        command = tyro.cli(PhantomArguments, args=argv, prog="bids-shresnet-phantom")
        if command.score is None:
            write_phantom(command.out, command.settings)
        else:
            sys.stdout.write(format_scores(score_scans(command.out, command.score)))
    except ShresnetError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def write_phantom(out: Path, settings: PhantomConfig) -> None:
    """Write OUT/bids and OUT/truth; equal settings give equal bytes."""
    atlas = build_atlas(read_atlas_maps())
    _write_dataset_files(out / "bids", settings)
    for number, is_travelling in settings.travelling_by_number.items():
        person = Person.draw(np.random.default_rng([settings.seed, number]))
        sessions = list(SCANNERS) if is_travelling else [SOURCE_SESSION]
        for session in sessions:
            _write_visit(Visit(out, number, session), atlas, person, settings)
        logger.info("sub-%02d: %s", number, " and ".join(sessions))


def _write_visit(visit: Visit, atlas: Atlas, person: Person, settings: PhantomConfig) -> None:
    """Write the DWI and the T1w of a visit and, for the source scanner, the truth."""
    session_index = list(SCANNERS).index(visit.session)
    rng = np.random.default_rng([settings.seed, visit.number, session_index])
    scanner = replace(SCANNERS[visit.session], directions=settings.directions)
    session = draw_session(scanner, settings.voxel_mm, rng)
    tissue = session.compute_tissue(atlas, person)
    dwi_stem = visit.raw_stem("dwi", "dwi")
    dwi = simulate_dwi(tissue, scanner, session, rng)
    write_raw_dwi(dwi_stem, dwi, repetition_time=float(scanner.sidecar["RepetitionTime"]))
    write_json(dwi_stem.with_suffix(".json"), {**scanner.sidecar, "EchoTime": scanner.te_ms / 1000})

    undistorted = session.compute_tissue(atlas, person, is_distorted=False)
    t1w_stem = visit.raw_stem("anat", "T1w")
    t1w = T1W_SCALE * simulate_t1w(undistorted, rng)
    write_raw_image(t1w_stem.with_suffix(".nii.gz"), t1w, session.affine)
    identity = {name: scanner.sidecar[name] for name in IDENTITY_FIELDS}
    write_json(t1w_stem.with_suffix(".json"), identity | T1W_SIDECAR)

    if visit.session == SOURCE_SESSION and settings.truth:
        target = replace(SCANNERS[TARGET_SESSION], directions=settings.directions)
        truth = simulate_true_dwi(tissue, scanner, target, session)
        _write_truth(visit.truth_stem, truth, tissue, dwi_stem.with_suffix(".nii.gz"))


def _write_truth(stem: Path, truth: Dwi, tissue: PhantomTissue, like: Path) -> None:
    """Write the true DWI, its tensor maps, and labels of pure grey (1) and white (2) matter."""
    write_dwi(stem.with_name(f"{stem.name}_dwi"), truth, like)
    maps = fit_tensor_maps(truth, tissue.brain_mask)
    volumes = {
        "FA": maps.fa,
        "MD": maps.md,
        "tissue": tissue.pure_labels,
        "mask": tissue.brain_mask,
    }
    for name, values in volumes.items():
        write_volume(stem.with_name(f"{stem.name}_{name}.nii.gz"), values, truth.affine, like)


def _write_dataset_files(root: Path, settings: PhantomConfig) -> None:
    """Write the files of a raw BIDS dataset that are about no single scan."""
    write_json(root / "dataset_description.json", DATASET_DESCRIPTION)
    write_text(root / "README.md", README_TEXT)
    rows = [
        {"participant_id": f"sub-{number:02d}", "travelling": "yes" if is_travelling else "no"}
        for number, is_travelling in settings.travelling_by_number.items()
    ]
    write_tsv(root / "participants.tsv", rows)
    write_json(root / "participants.json", PARTICIPANT_COLUMNS)
