"""Travelling heads with real anatomy and a known difference between the scanners.

    PYTHONPATH=. python benchmarks/semi_synthetic.py SCANS OUT [--target.blur-mm 2 ...]

Each *_dwi.nii.gz below SCANS gives one subject. Its shell nearest to b = 1000 s/mm2 is described by
spherical harmonics and brought to b = 1000; whatever noise is left in them counts as anatomy. The
source scanner measures this head as it is. The target scanner changes it by a known operator, in
another pose. OUT/bids is the dataset. OUT/truth holds each source scan as the target would have
measured it, without noise, in the form of the phantom:

    bids-shresnet OUT/bids OUT/results group
    bids-shresnet OUT/bids OUT/results participant
    bids-shresnet-phantom OUT --score OUT/results
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from benchmarks.scanner_operators import (
    BVALUE,
    S0_MEDIAN,
    Head,
    Pose,
    ScannerOperator,
    simulate_scan,
    spread_directions,
)
from bids_shresnet.diffusion.harmonics import choose_sh_order
from bids_shresnet.diffusion.represent import represent_dwi
from bids_shresnet.diffusion.shells import find_shells
from bids_shresnet.diffusion.tensors import fit_tensor_maps
from bids_shresnet.inputs.load_scan import describe_image, load_scan
from bids_shresnet.inputs.tissue import segment_tissue
from bids_shresnet.io.images.nifti_writing import write_dwi, write_volume
from bids_shresnet.io.storage import write_json, write_text
from bids_shresnet.phantom.raw_files import write_raw_dwi
from bids_shresnet.scans import Dwi, Shell

REPETITION_TIME = 8.0  # s
SERIAL_NUMBERS = {"source": "10001", "target": "20002"}
COMMON_SIDECAR = {
    "Manufacturer": "Simulated",
    "MagneticFieldStrength": 3,
    "EchoTime": 0.08,
    "RepetitionTime": REPETITION_TIME,
    "PhaseEncodingDirection": "j",
    "TotalReadoutTime": 0.05,
}


@dataclass(frozen=True)
class Arguments:
    """Make travelling heads with real anatomy and a known difference between the scanners."""

    scans: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SCANS")]
    """Folder with DWI of real heads, each with .bval and .bvec beside it."""
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Folder for bids/ and truth/."""
    source: ScannerOperator = field(default_factory=ScannerOperator)
    target: ScannerOperator = field(
        default_factory=lambda: ScannerOperator(
            directions=24,
            blur_mm=2.0,
            b_exponent=1.05,
            order_gains=(1.0, 1.1, 1.2),
            bore=0.03,
            drift=0.02,
            snr=30.0,
            coils=4,
            max_rotation_degrees=5.0,
            max_shift_mm=4.0,
        )
    )
    seed: int = 1
    """Seed of poses and noise."""


def read_head(image: Path) -> Head:
    """Read a real scan and describe its shell nearest to b = 1000 s/mm2."""
    scan = describe_image(image)
    loaded = load_scan(scan)
    measured = min(find_shells(loaded.dwi.bvals), key=lambda shell: abs(shell.bvalue - BVALUE))
    shell = Shell(measured.bvalue, choose_sh_order(len(measured.volumes)))
    representation = represent_dwi(loaded.dwi, loaded.mask, (shell,))
    scale = S0_MEDIAN / float(np.median(loaded.s0[loaded.mask]))
    return Head(
        image=representation.image,
        s0=np.asarray(loaded.s0 * scale, dtype=np.float32),
        tissue=segment_tissue(scan, loaded, representation).astype(np.float32),
    )


def write_subject(head: Head, label: str, arguments: Arguments) -> None:
    """Write both scans of a subject, and the truth of the source scan."""
    rng = np.random.default_rng([arguments.seed, int(label)])
    scanners = {"source": arguments.source, "target": arguments.target}
    tables = {
        name: spread_directions(scanner.directions, seed)
        for seed, (name, scanner) in enumerate(scanners.items())
    }
    for name, scanner in scanners.items():
        pose = Pose.draw(scanner, rng)
        dwi = simulate_scan(head, scanner, tables[name], pose=pose, rng=rng)
        stem = arguments.out / f"bids/sub-{label}/ses-{name}/dwi/sub-{label}_ses-{name}_dwi"
        write_raw_dwi(stem, dwi, repetition_time=REPETITION_TIME)
        identity = {
            "ManufacturersModelName": name.capitalize(),
            "DeviceSerialNumber": SERIAL_NUMBERS[name],
        }
        write_json(stem.with_suffix(".json"), COMMON_SIDECAR | identity)
        write_json(arguments.out / f"truth/sub-{label}/ses-{name}_pose.json", asdict(pose))
    raw = arguments.out / f"bids/sub-{label}/ses-source/dwi/sub-{label}_ses-source_dwi.nii.gz"
    truth = simulate_scan(head, arguments.target, tables["source"])
    _write_truth(arguments.out / f"truth/sub-{label}/ses-source_to-target", truth, head, raw)


def _write_truth(stem: Path, truth: Dwi, head: Head, like: Path) -> None:
    maps = fit_tensor_maps(truth, head.image.mask)
    volumes = {"FA": maps.fa, "MD": maps.md, "tissue": head.tissue, "mask": head.image.mask}
    write_dwi(stem.with_name(f"{stem.name}_dwi"), truth, like)
    for name, values in volumes.items():
        write_volume(stem.with_name(f"{stem.name}_{name}.nii.gz"), values, truth.affine, like)


def main() -> None:
    """Write the dataset and the truth."""
    arguments = tyro.cli(Arguments)
    description = {
        "Name": "Real heads on simulated scanners",
        "BIDSVersion": "1.11.1",
        "DatasetType": "raw",
    }
    write_json(arguments.out / "bids/dataset_description.json", description)
    write_text(arguments.out / "bids/README.md", "# Made by benchmarks/semi_synthetic.py\n")
    operators = {"Source": asdict(arguments.source), "Target": asdict(arguments.target)}
    write_json(arguments.out / "truth/operators.json", operators)
    for number, image in enumerate(sorted(arguments.scans.rglob("*_dwi.nii.gz")), 1):
        write_subject(read_head(image), f"{number:02d}", arguments)
        sys.stdout.write(f"sub-{number:02d}: {image.name}\n")


if __name__ == "__main__":
    main()
