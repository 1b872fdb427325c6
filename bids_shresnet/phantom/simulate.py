"""Write the phantom: a raw BIDS dataset of simulated travelling heads and, beside it, the truth."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from bids_shresnet.diffusion.tensors import fit_tensor_maps
from bids_shresnet.errors import ShresnetError, UsageError
from bids_shresnet.io.nifti_writing import write_dwi, write_volume
from bids_shresnet.io.storage import write_json, write_text, write_tsv
from bids_shresnet.phantom.anatomy import Atlas, Person, PhantomTissue, build_atlas
from bids_shresnet.phantom.atlas import read_atlas
from bids_shresnet.phantom.head import draw_session, simulate_dwi, simulate_t1w, simulate_true_dwi
from bids_shresnet.phantom.raw_files import write_raw_dwi, write_raw_image
from bids_shresnet.phantom.scanner import PhantomScanner
from bids_shresnet.phantom.score import format_scores, score_scans
from bids_shresnet.scans import Dwi

LOGGER = logging.getLogger(__name__)
SOURCE_SESSION, TARGET_SESSION = "ge", "prisma"  # session labels, as of sites
MIN_TENSOR_DIRECTIONS = 6  # a tensor has six numbers
T1W_SCALE = 1000.0  # intensity written for 1
README_TEXT = """# Simulated travelling heads

Every travelling subject was scanned on both scanners, ses-ge (the source) and ses-prisma (the target), the others on
the source alone. No person was measured: heads are random deformations of the MNI ICBM152 template, signals are
computed. Made by `bids-shresnet-phantom`, the test object of bids_shresnet.
"""

SCANNERS = {
    SOURCE_SESSION: PhantomScanner(
        sidecar={
            "Manufacturer": "GE",
            "ManufacturersModelName": "SIGNA EXCITE",
            "DeviceSerialNumber": "000000PHANTMR1",
            "MagneticFieldStrength": 3,
            "PhaseEncodingDirection": "j",
            "TotalReadoutTime": 0.06,
            "RepetitionTime": 12.0,
        },
        directions=30,
        table_seed=1,
        b0_count=2,
        te_ms=92.0,
        psf_mm=3.5,
        snr=20.0,
        b_gain=1.01,
        nonlinearity=0.03,
        radial_gain=1.04,
        grey_gain=1.10,
        receive_rise=0.2,
        distortion_mm=1.0,
    ),
    TARGET_SESSION: PhantomScanner(
        sidecar={
            "Manufacturer": "Siemens",
            "ManufacturersModelName": "Prisma",
            "DeviceSerialNumber": "99001",
            "MagneticFieldStrength": 3,
            "PhaseEncodingDirection": "j-",
            "TotalReadoutTime": 0.04,
            "RepetitionTime": 8.4,
        },
        directions=30,
        table_seed=2,
        b0_count=4,
        b0_bvalue=5.0,
        tilt_degrees=(8.0, 3.0, -4.0),
        te_ms=80.0,
        psf_mm=3.0,
        snr=30.0,
        receive_rise=0.1,
        distortion_mm=0.5,
    ),
}
T1W_SIDECAR = {"EchoTime": 0.003, "RepetitionTime": 2.3, "InversionTime": 0.9, "FlipAngle": 9}


@dataclass(frozen=True)
class PhantomConfig:
    """What is simulated."""

    subjects: int = 4
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
    """Write OUT/truth: each source scan as the target scanner would have seen it, without noise."""

    def __post_init__(self) -> None:
        smallest = {
            "subjects": 0,
            "apply_only": 0,
            "voxel_mm": 1.5,
            "directions": MIN_TENSOR_DIRECTIONS,
            "seed": 0,
        }
        for name, least in smallest.items():
            if getattr(self, name) < least:
                msg = f"--{name.replace('_', '-')} {getattr(self, name)}: must be {least} or more"
                raise UsageError(msg)


@dataclass(frozen=True)
class PhantomArguments:
    """Simulate travelling heads with known truth, or score harmonized scans against it."""

    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Folder of the phantom: OUT/bids is the dataset, OUT/truth the truth."""
    score: Path | None = None
    """Write nothing; compare the harmonized DWI below this folder with the truth in OUT and print a table."""
    settings: tyro.conf.OmitArgPrefixes[PhantomConfig] = field(default_factory=PhantomConfig)


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
    maps = read_atlas()
    atlas = build_atlas(maps.t1, maps.gm, maps.wm, maps.affine)
    _write_dataset_files(out / "bids", settings)
    for number in range(1, settings.subjects + settings.apply_only + 1):
        travels = number <= settings.subjects
        person = Person.draw(np.random.default_rng([settings.seed, number]))
        for name in SCANNERS if travels else [SOURCE_SESSION]:
            _write_session(out, number, name, atlas, person, settings)
        LOGGER.info(
            "sub-%02d: %s", number, " and ".join(SCANNERS) if travels else f"{SOURCE_SESSION} only"
        )


def _write_session(
    out: Path, number: int, name: str, atlas: Atlas, person: Person, settings: PhantomConfig
) -> None:
    """One visit: DWI, T1w and, for the source scanner, the truth."""
    rng = np.random.default_rng([settings.seed, number, list(SCANNERS).index(name)])
    scanner = replace(SCANNERS[name], directions=settings.directions)
    session = draw_session(scanner, settings.voxel_mm, rng)
    tissue = session.compute_tissue(atlas, person)
    subject = f"sub-{number:02d}"
    folder, prefix = out / "bids" / subject / f"ses-{name}", f"{subject}_ses-{name}"
    stem = folder / "dwi" / f"{prefix}_dwi"
    write_raw_dwi(
        stem,
        simulate_dwi(tissue, scanner, session, rng),
        repetition_time=float(scanner.sidecar["RepetitionTime"]),
    )
    write_json(stem.with_suffix(".json"), {**scanner.sidecar, "EchoTime": scanner.te_ms / 1000})
    undistorted = session.compute_tissue(atlas, person, is_distorted=False)
    anat = folder / "anat" / f"{prefix}_T1w"
    write_raw_image(
        anat.with_suffix(".nii.gz"), T1W_SCALE * simulate_t1w(undistorted, rng), session.affine
    )
    write_json(anat.with_suffix(".json"), _scanner_identity(scanner) | T1W_SIDECAR)
    if name == SOURCE_SESSION and settings.truth:
        target = replace(SCANNERS[TARGET_SESSION], directions=settings.directions)
        wanted = simulate_true_dwi(tissue, scanner, target, session)
        _write_truth(
            out / "truth" / subject / f"ses-{name}_to-{TARGET_SESSION}",
            wanted,
            tissue,
            stem.with_suffix(".nii.gz"),
        )


def _write_truth(stem: Path, truth: Dwi, tissue: PhantomTissue, like: Path) -> None:
    """The wanted signal, its tensor's maps and where grey (1) and white (2) matter are pure."""
    write_dwi(stem.with_name(f"{stem.name}_dwi"), truth, like)
    maps = fit_tensor_maps(truth, tissue.brain_mask)
    volumes = {
        "FA": maps.fa,
        "MD": maps.md,
        "tissue": tissue.pure_labels,
        "mask": tissue.brain_mask,
    }
    for name, data in volumes.items():
        write_volume(stem.with_name(f"{stem.name}_{name}.nii.gz"), data, truth.affine, like)


def _write_dataset_files(root: Path, settings: PhantomConfig) -> None:
    """What a raw BIDS dataset holds besides scans."""
    description = {
        "Name": "Simulated travelling heads",
        "BIDSVersion": "1.11.1",
        "DatasetType": "raw",
        "License": "CC0",
    }
    write_json(root / "dataset_description.json", description)
    write_text(root / "README.md", README_TEXT)
    rows = [
        {
            "participant_id": f"sub-{number:02d}",
            "travelling": "yes" if number <= settings.subjects else "no",
        }
        for number in range(1, settings.subjects + settings.apply_only + 1)
    ]
    write_tsv(root / "participants.tsv", rows)
    levels = {"yes": "on both scanners", "no": "on the source scanner alone"}
    write_json(
        root / "participants.json",
        {"travelling": {"Description": "Where scanned", "Levels": levels}},
    )


def _scanner_identity(scanner: PhantomScanner) -> dict[str, Any]:
    """The part of a sidecar that names the scanner."""
    names = (
        "Manufacturer",
        "ManufacturersModelName",
        "DeviceSerialNumber",
        "MagneticFieldStrength",
    )
    return {name: scanner.sidecar[name] for name in names}
