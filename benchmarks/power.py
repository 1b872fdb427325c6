"""What harmonization does to a comparison of groups whose scanners are unbalanced.

    PYTHONPATH=. python benchmarks/power.py OUT

power_scans.py makes OUT and says how. Studies are drawn at random: half of the people are patients,
and 8 of 10 patients but 2 of 10 controls have the source scanner. For each way to harmonize, two
lines are printed: FA of the fibres where it is 5 % lower in patients (the share of significant
studies is the power), and of others, where it is not (that share is the rate of false positives).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import nibabel as nib
import numpy as np
import tyro
from jaxtyping import Bool, Float
from scipy import stats

from benchmarks.power_scans import GROUPS, REGIONS, StudyScan, study_scans, travelling_scans
from bids_shresnet.methods.template.combat import fit_mean_combat
from bids_shresnet.phantom.protocols import SCANNERS

SOURCE_SHARE = (0.2, 0.8)  # of controls and of patients
ALPHA = 0.05
# FA maps of the source's and of the target's scans.
MAP_DESCRIPTIONS = {
    "as measured": ("input", "input"),
    "comparable maps": ("harmonized", "input"),
    "denoised maps": ("harmonizedDenoised", "harmonizedDenoised"),
}
COMBAT = "ComBat"
MeanFa = Float[np.ndarray, "person scanner group region"]  # the source scanner and controls first


@dataclass(frozen=True)
class Arguments:
    """Compare groups in studies that are drawn from simulated people."""

    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Folder that power_scans.py made, with the output of a participant run in OUT/results."""
    travelling: int = 6
    """As in power_scans.py."""
    people: int = 20
    """As in power_scans.py."""
    studies: int = 1000
    """Number of studies."""
    seed: int = 1
    """Seed of the studies."""


@dataclass(frozen=True)
class Study:
    """Scanner (True: source) and group (True: patient) of each person."""

    has_source: Bool[np.ndarray, " person"]
    is_patient: Bool[np.ndarray, " person"]

    @classmethod
    def draw(cls, people: int, rng: np.random.Generator) -> Study:
        """Draw a study of two equal groups."""
        is_patient = rng.permutation(people) < people // 2
        has_source = np.zeros(people, dtype=bool)
        for group, share in enumerate(SOURCE_SHARE):
            members = rng.permutation(np.flatnonzero(is_patient == bool(group)))
            has_source[members[: round(share * len(members))]] = True
        return cls(has_source, is_patient)

    def select(self, means: MeanFa, region: int) -> Float[np.ndarray, " person"]:
        """Mean FA of each person with their scanner and in their group."""
        people = np.arange(len(means))
        scanners = np.where(self.has_source, 0, 1)
        return np.asarray(means[people, scanners, self.is_patient.astype(int), region])


@dataclass(frozen=True)
class GroupTest:
    """Relative difference of patients and controls, Student's t and its two-sided p."""

    difference: float
    t: float
    p: float


def compare_groups(
    values: Float[np.ndarray, " person"], is_patient: Bool[np.ndarray, " person"]
) -> GroupTest:
    """Compare the groups without regard to the scanner."""
    patients = values[is_patient]
    controls = values[~is_patient]
    test = stats.ttest_ind(patients, controls)
    difference = float(patients.mean() / controls.mean()) - 1
    return GroupTest(difference, float(test.statistic), float(test.pvalue))


def read_mean(scan: StudyScan, description: str, region: str) -> float:
    """Mean FA of a region, without voxels that have no tensor."""
    region_image = nib.Nifti1Image.from_filename(scan.region_file(region))
    fa = nib.Nifti1Image.from_filename(scan.map_file(description)).get_fdata()
    return float(fa[(region_image.get_fdata() > 0) & (fa > 0)].mean())


def read_means(
    scans: Sequence[StudyScan], descriptions: tuple[str, str]
) -> Float[np.ndarray, "scan region"]:
    """Mean FA of all scans and regions; the descriptions are those of either scanner's maps."""
    by_session = dict(zip(SCANNERS, descriptions, strict=True))
    means = [
        [read_mean(scan, by_session[scan.session], region) for region in REGIONS] for scan in scans
    ]
    return np.array(means)


def correct_by_combat(measured: MeanFa, travelling: Float[np.ndarray, "scan region"]) -> MeanFa:
    """Harmonize the source's means by ComBat, which is fitted to the travelling heads."""
    by_scanner = travelling.reshape(-1, len(SCANNERS), len(REGIONS))
    effect = fit_mean_combat(by_scanner[:, 0], by_scanner[:, 1])
    corrected = measured.copy()
    source = measured[:, 0].reshape(-1, len(REGIONS))
    corrected[:, 0] = effect.remove(source).reshape(measured[:, 0].shape)
    return corrected


def read_all_means(arguments: Arguments) -> dict[str, MeanFa]:
    """Mean FA of all people by way to harmonize."""
    scans = study_scans(arguments.out, arguments.people)
    shape = (arguments.people, len(SCANNERS), len(GROUPS), len(REGIONS))
    means = {
        name: read_means(scans, descriptions).reshape(shape)
        for name, descriptions in MAP_DESCRIPTIONS.items()
    }
    travelling = travelling_scans(arguments.out, arguments.travelling)
    travelling_means = read_means(travelling, MAP_DESCRIPTIONS["as measured"])
    return means | {COMBAT: correct_by_combat(means["as measured"], travelling_means)}


def describe(name: str, region: str, tests: Sequence[GroupTest]) -> str:
    """One line of the table."""
    difference = np.mean([test.difference for test in tests])
    t = np.mean([test.t for test in tests])
    significant = np.mean([test.p <= ALPHA for test in tests])
    return f"{name:16}{region:12}{difference:+10.2%}{t:+8.2f}{significant:8.1%}\n"


def main() -> None:
    """Draw the studies and print the table."""
    arguments = tyro.cli(Arguments)
    rng = np.random.default_rng(arguments.seed)
    studies = [Study.draw(arguments.people, rng) for _ in range(arguments.studies)]
    all_means = read_all_means(arguments)
    sys.stdout.write(f"{'':16}{'':12}{'difference':>10}{'t':>8}{'p<=.05':>8}\n")
    for name, means in all_means.items():
        for index, region in enumerate(REGIONS):
            tests = [
                compare_groups(study.select(means, index), study.is_patient) for study in studies
            ]
            sys.stdout.write(describe(name, region, tests))


if __name__ == "__main__":
    main()
