"""Bad travelling heads must not change a model: train with and without them, and compare.

    PYTHONPATH=. python benchmarks/bad_heads.py BIDS OUT [--flags="--training.folds 4"]

BIDS holds two scanners and at least seven travelling subjects. OUT/damaged/bids is a copy of it in
which the target's scan of a subject is another head, the source's scan of a second one is cut to
three slices, and that of a third one is flipped left-right, with the affine and the b-vectors as
they were. OUT/clean/bids is a copy without these three subjects. The app trains on both at the
group level. All files of the models, networks and tables of held-out subjects, must be equal byte
for byte. Only the table of registrations differs: it and the status table and the group page of
the damaged dataset must name the three subjects with a reason. What is not so is printed, and ends
with exit code 1. A command that was stopped goes on where it was; `--check` compares the results
that are there.
"""

from __future__ import annotations

import filecmp
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import nibabel as nib
import numpy as np
import tyro

from bids_shresnet.config import InputSettings, ScannerSettings
from bids_shresnet.io.storage import NOT_AVAILABLE, read_tsv
from bids_shresnet.outputs.layout import output_root
from bids_shresnet.outputs.model.folder import (
    REGISTRATION_TSV,
    Model,
    find_models,
    models_folder,
)
from bids_shresnet.outputs.runs.run_log import STATUS_TSV
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.discover import find_scans
from bids_shresnet.planning.pairing import form_pairs
from bids_shresnet.scans import Scan

MIN_HEADS = 7  # three bad ones, and enough others to tell what is usual
SLICE_COUNT = 3
DAMAGED = "damaged"
CLEAN = "clean"


@dataclass(frozen=True)
class Arguments:
    """Train with and without bad heads, and compare the models."""

    bids: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="BIDS")]
    """Travelling heads of two scanners."""
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Folder for both datasets and their results."""
    flags: str = ""
    """Further flags of `bids-shresnet`, in one word."""
    check: bool = False
    """Only compare the results in OUT."""


def write_variants(bids: Path, out: Path) -> None:
    """Write the dataset with bad heads, and the one without these subjects."""
    head_count = len(read_pair(bids).travelling_scans)
    if head_count < MIN_HEADS:
        msg = f"{bids} has {head_count} travelling subjects; {MIN_HEADS} are needed"
        raise SystemExit(msg)
    shutil.copytree(bids, out / CLEAN / "bids")
    shutil.copytree(bids, out / DAMAGED / "bids")
    pair = read_pair(out / DAMAGED / "bids")
    wrong, short, flipped = pair.travelling_scans[:6:2]
    replace_head(wrong[1], pair.travelling_scans[-1][1])
    cut_to_slab(short[0].image)
    flip_image(flipped[0].image)
    for source, _ in (wrong, short, flipped):
        shutil.rmtree(out / CLEAN / "bids" / f"sub-{source.subject}")


def read_pair(bids: Path) -> Pair:
    """Find the scanner pair of a dataset and its travelling subjects."""
    inventory = find_scans(InputSettings(bids), ScannerSettings(), is_identity_required=True)
    (pair,) = form_pairs(inventory, ScannerSettings()).pairs
    return pair


def replace_head(scan: Scan, other: Scan) -> None:
    """Put the image and the gradient table of another scan under the name of a scan."""
    for path, other_path in zip(
        (scan.image, scan.bval, scan.bvec), (other.image, other.bval, other.bvec), strict=True
    ):
        shutil.copyfile(other_path, path)


def cut_to_slab(image: Path) -> None:
    """Keep the slices in the middle of an image."""
    whole = nib.Nifti1Image.from_filename(image)
    first = (whole.shape[2] - SLICE_COUNT) // 2
    slab = whole.slicer[:, :, first : first + SLICE_COUNT]
    nib.save(nib.Nifti1Image(np.asarray(slab.dataobj), slab.affine, slab.header), image)


def flip_image(image: Path) -> None:
    """Reverse the first axis of the voxels, and nothing else."""
    whole = nib.Nifti1Image.from_filename(image)
    flipped = np.asarray(whole.dataobj)[::-1].copy()
    nib.save(nib.Nifti1Image(flipped, whole.affine, whole.header), image)


def train(folder: Path, flags: str) -> None:
    """Run the group level on a dataset."""
    command = [sys.executable, "-m", "bids_shresnet", str(folder / "bids"), str(folder / "results")]
    subprocess.run([*command, "group", *shlex.split(flags)], check=True)


def find_violations(out: Path) -> Iterator[str]:
    """Yield how the models differ, and where a bad head is not named."""
    damaged = read_model(out / DAMAGED)
    clean = read_model(out / CLEAN)
    if damaged.name != clean.name:
        yield f"the models are {damaged.name} and {clean.name}"
    names = find_results(damaged.folder)
    for name in sorted(names ^ find_results(clean.folder)):
        yield f"only one of the models has {name}"
    for name in sorted(names & find_results(clean.folder)):
        if not filecmp.cmp(damaged.folder / name, clean.folder / name, shallow=False):
            yield f"the models differ in {name}"
    yield from find_unnamed(damaged.folder, out / DAMAGED / "results", list_bad_heads(out))


def read_model(variant: Path) -> Model:
    """Read the only model of a variant."""
    (model,) = find_models(models_folder(output_root(variant / "results")))
    return model


def find_results(model: Path) -> set[str]:
    """List the files of a model that bad heads must not change."""
    return {path.name for path in model.iterdir()} - {REGISTRATION_TSV}


def list_bad_heads(out: Path) -> list[str]:
    """List the labels of the subjects that the clean dataset lacks."""
    names = {path.name for path in (out / DAMAGED / "bids").glob("sub-*")}
    names -= {path.name for path in (out / CLEAN / "bids").glob("sub-*")}
    return sorted(name.removeprefix("sub-") for name in names)


def find_unnamed(model: Path, results: Path, subjects: Sequence[str]) -> Iterator[str]:
    """Yield the tables and the page that name other subjects as left out than these."""
    root = output_root(results)
    rows = read_tsv(model / REGISTRATION_TSV)
    reasons = {row["subject"]: row["excluded"] for row in rows if row["excluded"] != NOT_AVAILABLE}
    if sorted(reasons) != list(subjects):
        yield f"{REGISTRATION_TSV} leaves out {', '.join(sorted(reasons)) or 'nobody'}"
    status_rows = [row for table in root.glob(f"logs/*/{STATUS_TSV}") for row in read_tsv(table)]
    page = (root / "group.html").read_text(encoding="utf-8")
    for subject in subjects:
        reason = reasons.get(subject, "")
        sys.stdout.write(f"sub-{subject}: {reason or 'not left out'}\n")
        if not any(row["subject"] == subject and reason in row["reason"] for row in status_rows):
            yield f"{STATUS_TSV} does not say why sub-{subject} is left out"
        if f"sub-{subject} was not trained on" not in page:
            yield f"group.html does not name sub-{subject}"


def main() -> int:
    """Write the datasets, train on both, compare, and return the exit code."""
    arguments = tyro.cli(Arguments)
    if not arguments.check:
        if not (arguments.out / DAMAGED).exists():
            write_variants(arguments.bids, arguments.out)
        for variant in (DAMAGED, CLEAN):
            train(arguments.out / variant, arguments.flags)
    violations = list(find_violations(arguments.out))
    sys.stdout.write("\n".join(violations or ["as it should be"]) + "\n")
    return int(bool(violations))


if __name__ == "__main__":
    sys.exit(main())
