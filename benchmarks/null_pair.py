"""A scanner as both source and target: harmonizing must not look better than denoising.

    PYTHONPATH=. python benchmarks/null_pair.py OUT --kind rescan
    bids-shresnet OUT/bids OUT/results group --methods denoised
    PYTHONPATH=. python benchmarks/null_pair.py OUT --check

The heads are those of the phantom. `rescan`: the scanner scans everyone twice, in another pose and
with other noise. `halves`: one scan with twice as many directions is split into its even and its
odd volumes. Two serial numbers make two scanners of one. There is no difference to learn, so the
validation must not call the model better than denoising, and no bias may exceed 1 %. `--check`
prints both, and ends with exit code 1 if they are not so.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from bids_shresnet.diffusion.shells import select_volumes
from bids_shresnet.evaluation.cross_validation import (
    CrossValidation,
    read_cross_validation,
    summarize_validation,
)
from bids_shresnet.io.storage import write_json
from bids_shresnet.outputs.layout import output_root
from bids_shresnet.outputs.model.folder import find_models, models_folder
from bids_shresnet.phantom.anatomy import Person
from bids_shresnet.phantom.atlas import Atlas, build_atlas, read_atlas_maps
from bids_shresnet.phantom.head import draw_session, simulate_dwi
from bids_shresnet.phantom.protocols import SCANNERS, TARGET_SESSION
from bids_shresnet.phantom.raw_files import write_raw_dwi
from bids_shresnet.phantom.scanner import PhantomScanner
from bids_shresnet.phantom.simulate import DATASET_DESCRIPTION
from bids_shresnet.scans import Dwi

Kind = Literal["rescan", "halves"]
DENOISED = "denoised"  # the baseline that only removes noise
MAX_BIAS = 0.01
SERIAL_NUMBERS = {"first": "10001", "second": "20002"}  # by session


@dataclass(frozen=True)
class NullPairConfig:
    """Travelling heads between a scanner and itself."""

    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Folder for bids/."""
    kind: Kind = "rescan"
    """Two scans of the scanner, or two halves of one scan."""
    people: int = 8
    """Travelling heads."""
    voxel_mm: float = 4.0
    """Edge of a voxel."""
    directions: int = 30
    """Gradient directions of either scan."""
    seed: int = 1
    """Seed of people, poses and noise."""
    check: bool = False
    """Check the results in OUT/results instead of writing a dataset."""

    @property
    def scanner(self) -> PhantomScanner:
        """The scanner, with the directions of a scan."""
        factor = 2 if self.kind == "halves" else 1
        return replace(SCANNERS[TARGET_SESSION], directions=factor * self.directions)


def simulate_pair(config: NullPairConfig, number: int, atlas: Atlas) -> Iterator[Dwi]:
    """Yield the two scans of a person."""
    person = Person.draw(np.random.default_rng([config.seed, number]))
    if config.kind == "halves":
        yield from split_dwi(_simulate(config, person, atlas, [number, 0]))
        return
    for scan in range(2):
        yield _simulate(config, person, atlas, [number, scan])


def split_dwi(dwi: Dwi) -> tuple[Dwi, Dwi]:
    """Split b0 and weighted volumes by turns."""
    is_second = np.zeros(len(dwi.bvals), dtype=bool)
    for kind in (dwi.is_b0, ~dwi.is_b0):
        is_second[np.flatnonzero(kind)[1::2]] = True
    return select_volumes(dwi, ~is_second), select_volumes(dwi, is_second)


def _simulate(config: NullPairConfig, person: Person, atlas: Atlas, seed: list[int]) -> Dwi:
    """Simulate a scan of a person in a random pose."""
    rng = np.random.default_rng([config.seed, *seed])
    session = draw_session(config.scanner, config.voxel_mm, rng)
    tissue = session.compute_tissue(atlas, person)
    return simulate_dwi(tissue, config.scanner, session, rng)


def write_null_pair(config: NullPairConfig) -> None:
    """Write the dataset."""
    root = config.out / "bids"
    write_json(root / "dataset_description.json", DATASET_DESCRIPTION)
    atlas = build_atlas(read_atlas_maps())
    sidecar = {**config.scanner.sidecar, "EchoTime": config.scanner.te_ms / 1000}
    for number in range(1, config.people + 1):
        scans = simulate_pair(config, number, atlas)
        for (session, serial), dwi in zip(SERIAL_NUMBERS.items(), scans, strict=True):
            name = f"sub-{number:02d}_ses-{session}_dwi"
            stem = root / f"sub-{number:02d}" / f"ses-{session}" / "dwi" / name
            write_raw_dwi(stem, dwi, repetition_time=float(sidecar["RepetitionTime"]))
            write_json(stem.with_suffix(".json"), sidecar | {"DeviceSerialNumber": serial})


def find_violations(cross_validation: CrossValidation) -> list[str]:
    """Return what a pair without a difference must not show."""
    answer = summarize_validation(cross_validation).better_than[DENOISED].answer
    verdict = ["validated to be better than denoising"] if answer == "yes" else []
    biases = [
        f"bias of {bias.quantity} in {bias.tissue}: {bias.mean:+.2%}"
        for bias in cross_validation.biases
        if bias.method == cross_validation.method and abs(bias.mean) > MAX_BIAS
    ]
    return [*verdict, *biases]


def check_results(results: Path) -> int:
    """Print the violations of each model in an output dataset, and return the exit code."""
    has_violations = False
    for model in find_models(models_folder(output_root(results))):
        violations = find_violations(read_cross_validation(model))
        has_violations = has_violations or bool(violations)
        sys.stdout.write(f"{model.name}: {'; '.join(violations) or 'as it should be'}\n")
    return int(has_violations)


def main() -> int:
    """Write the dataset or check the results."""
    config = tyro.cli(NullPairConfig)
    if config.check:
        return check_results(config.out / "results")
    write_null_pair(config)
    return 0


if __name__ == "__main__":
    sys.exit(main())
