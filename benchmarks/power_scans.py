"""Scans for power.py: people with and without an effect, each on either scanner.

    PYTHONPATH=. python benchmarks/power_scans.py OUT
    bids-shresnet OUT/bids OUT/results participant --target Prisma99001
    PYTHONPATH=. python benchmarks/power.py OUT

OUT/bids holds travelling heads of the phantom, on which the model is trained, and further people
four times, as subjects of their own: on either scanner, with and without an FA that is 5 % lower
in the commissural fibres. power.py draws studies from them, in which each person has one scanner
and one group. OUT/truth holds masks of the fibres.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from jaxtyping import Bool

from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tensor_changes import MapChange, change_dwi
from bids_shresnet.diffusion.tensors import fit_dwi_tensor
from bids_shresnet.io.images.nifti_writing import write_volume
from bids_shresnet.io.storage import write_json
from bids_shresnet.outputs.layout import output_root
from bids_shresnet.phantom.anatomy import Person, PhantomTissue
from bids_shresnet.phantom.atlas import Atlas, build_atlas, read_atlas_maps
from bids_shresnet.phantom.head import draw_session, noise_sigma, simulate_noise_free_dwi
from bids_shresnet.phantom.protocols import SCANNERS
from bids_shresnet.phantom.raw_files import write_raw_dwi
from bids_shresnet.phantom.scanner import add_rician_noise, make_gradient_table
from bids_shresnet.phantom.simulate import DATASET_DESCRIPTION
from bids_shresnet.scans import Dwi

Group = Literal["control", "patient"]
GROUPS: tuple[Group, ...] = ("control", "patient")
REGIONS = {"effect": 0, "elsewhere": 1}  # systems of fibres: commissural, projection
MIN_WHITE_FRACTION = 0.8
MIN_FIBRE_FRACTION = 0.5
FIRST_PERSON = 101  # number of the first who does not travel


@dataclass(frozen=True)
class PowerConfig:
    """The people, and the protocol that they are scanned with."""

    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Folder for bids/ and truth/."""
    travelling: int = 6
    """Travelling heads: scanned on both scanners, without the effect."""
    people: int = 20
    """People of the studies."""
    fa_factor: float = 0.95
    """Factor on a patient's FA in the commissural fibres."""
    voxel_mm: float = 4.0
    """Edge of a voxel."""
    directions: int = 30
    """Gradient directions of either scanner."""
    seed: int = 1
    """Seed of people, poses and noise."""


@dataclass(frozen=True)
class StudyScan:
    """A scan: number of the person, session label, group, and whether the person travels."""

    out: Path
    person: int
    session: str
    group: Group
    is_travelling: bool = False

    @property
    def subject(self) -> str:
        """`sub-<label>`: of a travelling head always the same, else another one for each scan."""
        variant = "" if self.is_travelling else f"{self.session}{self.group}"
        return f"sub-{self.person:03d}{variant}"

    @property
    def stem(self) -> Path:
        """Path of the DWI without its extension."""
        name = f"{self.subject}_ses-{self.session}_dwi"
        return self.out / "bids" / self.subject / f"ses-{self.session}" / "dwi" / name

    def region_file(self, region: str) -> Path:
        """Path of the mask of a region on the grid of the scan."""
        return self.out / "truth" / self.subject / f"ses-{self.session}_{region}.nii.gz"

    def map_file(self, description: str) -> Path:
        """Path of an FA map in the results."""
        name = f"{self.subject}_ses-{self.session}_model-tensor_param-fa_desc-{description}"
        folder = output_root(self.out / "results") / self.subject / f"ses-{self.session}" / "dwi"
        return folder / f"{name}_dwimap.nii.gz"


def travelling_scans(out: Path, count: int) -> list[StudyScan]:
    """Both scans of each travelling head."""
    people = range(1, count + 1)
    return [
        StudyScan(out, person, session, "control", is_travelling=True)
        for person, session in product(people, SCANNERS)
    ]


def study_scans(out: Path, count: int) -> list[StudyScan]:
    """All scans of the other people, by person, scanner (source first) and group."""
    people = range(FIRST_PERSON, FIRST_PERSON + count)
    return [
        StudyScan(out, person, session, group)
        for person, session, group in product(people, SCANNERS, GROUPS)
    ]


def find_region(tissue: PhantomTissue, system: int) -> Bool[np.ndarray, "x y z"]:
    """White matter in which a system of fibres prevails."""
    is_white = tissue.fractions[..., 0] > MIN_WHITE_FRACTION
    return np.asarray(is_white & (tissue.fibre_fractions[..., system] > MIN_FIBRE_FRACTION))


def write_scan(scan: StudyScan, atlas: Atlas, config: PowerConfig) -> None:
    """Write a scan and its regions. Pose and noise differ from scan to scan of a person."""
    person = Person.draw(np.random.default_rng([config.seed, scan.person]))
    scanner = replace(SCANNERS[scan.session], directions=config.directions)
    variant = [list(SCANNERS).index(scan.session), GROUPS.index(scan.group)]
    rng = np.random.default_rng([config.seed, scan.person, *variant])
    session = draw_session(scanner, config.voxel_mm, rng)
    tissue = session.compute_tissue(atlas, person)
    clean = simulate_noise_free_dwi(tissue, scanner, session, make_gradient_table(scanner))
    sigma = noise_sigma(clean, tissue, scanner)
    if scan.group == "patient":
        clean = lower_fa(clean, find_region(tissue, REGIONS["effect"]), config.fa_factor)
    dwi = replace(clean, data=add_rician_noise(clean.data, sigma, rng))
    write_raw_dwi(scan.stem, dwi, repetition_time=float(scanner.sidecar["RepetitionTime"]))
    sidecar = {**scanner.sidecar, "EchoTime": scanner.te_ms / 1000}
    write_json(scan.stem.with_suffix(".json"), sidecar)
    for region, system in REGIONS.items():
        like = scan.stem.with_suffix(".nii.gz")
        mask = find_region(tissue, system)
        write_volume(scan.region_file(region), mask, dwi.affine, like)


def lower_fa(dwi: Dwi, region: Bool[np.ndarray, "x y z"], factor: float) -> Dwi:
    """Multiply FA in a region."""
    fa = unmask(fit_dwi_tensor(dwi, region).fa, region)
    change = MapChange(np.where(region, factor, 1.0), np.ones(region.shape))
    return change_dwi(dwi, region, change.to_tensor_change(fa))


def main() -> None:
    """Write the dataset."""
    config = tyro.cli(PowerConfig)
    write_json(config.out / "bids/dataset_description.json", DATASET_DESCRIPTION)
    atlas = build_atlas(read_atlas_maps())
    scans = travelling_scans(config.out, config.travelling) + study_scans(config.out, config.people)
    for scan in scans:
        write_scan(scan, atlas, config)
        sys.stdout.write(f"{scan.stem.name}\n")


if __name__ == "__main__":
    main()
