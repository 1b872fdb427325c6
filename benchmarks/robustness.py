"""How preprocessing and acquisition change what is delivered, and whether the app says so.

    PYTHONPATH=. python benchmarks/robustness.py BIDS OUT MODELS [--target-snr 25]

BIDS holds simulated heads, with their truth in ../truth, and MODELS a model that was trained on
raw scans. Scans of its source scanner, of subjects that it was not trained on, are changed in all
ways of `benchmarks/preprocessing_changes.py`. OUT/bids, OUT/masks and OUT/qsiprep hold the changed
scans, and OUT/results what the app makes of them in one run.

A Markdown table shows, by change and tissue, the bias of the mean and the NMSE of FA and MD before
and after harmonization, against the maps of the target: without noise, or with `--target-snr` with
its noise, as the app delivers them. "To unchanged" compares the means with those that are delivered
for the unchanged scan. All are of the voxels that the change has left in the mask ("covered"). On
another grid the maps to compare with are interpolated, so NMSE compares with that of no other grid.
"Noise" is that of a value of S/S0, "novel" the share of the brain that is unlike the training data.
The warnings about each scan follow. A command that was stopped goes on where it was; `--check`
prints the table of the results that are there.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
import tyro

from benchmarks.robustness_scans import (
    ALL_CHANGES,
    RAW,
    Variant,
    write_descriptions,
    write_variants,
)
from benchmarks.robustness_scores import (
    TargetNoise,
    find_outputs,
    has_results,
    read_maps,
    read_truth,
    score_variant,
)
from benchmarks.robustness_warnings import Warnings, format_warnings, read_all_warnings
from bids_shresnet.config import InputSettings, ScannerSettings
from bids_shresnet.io.storage import read_json
from bids_shresnet.outputs.group_qc import SCAN_KEY
from bids_shresnet.outputs.layout import HARMONIZED_DESC, output_root
from bids_shresnet.outputs.model.folder import Model, find_models
from bids_shresnet.planning.discover import find_scans
from bids_shresnet.scans import Scan

UNCHANGED = "unchanged"
QUANTITIES = ("FA", "MD")
HEADER = (
    "| change | tissue | covered | bias of FA | bias of MD | NMSE of FA | NMSE of MD "
    "| FA to unchanged | MD to unchanged | noise | novel | warnings |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|---|\n"
)


@dataclass(frozen=True)
class Arguments:
    """Harmonize scans that preprocessing and acquisition have changed."""

    bids: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="BIDS")]
    """Simulated heads; the truth lies beside it."""
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Folder for the changed scans and the results."""
    models: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="MODELS")]
    """The model."""
    subjects: tuple[str, ...] = ()
    """Labels of subjects; by default all that the model was not trained on."""
    changes: tuple[str, ...] = ALL_CHANGES
    """Names of the changes."""
    target_snr: float = 0.0
    """Median S0 of the target's scans over their noise; 0 compares with maps without noise."""
    seed: int = 1
    """Seed of the changes."""
    flags: str = ""
    """Further flags of `bids-shresnet`, in one word."""
    check: bool = False
    """Only print the table of the results in OUT."""


def list_variants(arguments: Arguments, model: Model) -> list[Variant]:
    """List the changed scans, those that are compared with in any case."""
    changes = dict.fromkeys((UNCHANGED, *arguments.changes))
    scans = select_scans(arguments, model)
    return [Variant(scan, change, arguments.out) for scan in scans for change in changes]


def select_scans(arguments: Arguments, model: Model) -> list[Scan]:
    """Select the scans of the model's source, of subjects that it was not trained on.

    Raises
    ------
    SystemExit
        If there is none.
    """
    inputs = InputSettings(arguments.bids)
    inventory = find_scans(inputs, ScannerSettings(), is_identity_required=False)
    scans = [
        scan
        for scan in inventory.scans
        if scan.scanner_label == model.source and scan.subject not in model.card.subjects
    ]
    chosen = [scan for scan in scans if scan.subject in (arguments.subjects or (scan.subject,))]
    if not chosen:
        names = ", ".join(scan.name for scan in scans) or "none"
        msg = f"no scan of {model.source} to change; those that were not trained on: {names}"
        raise SystemExit(msg)
    return chosen


def harmonize(arguments: Arguments, variants: Sequence[Variant]) -> None:
    """Write the changed scans, and run the participant level on them.

    A scan that fails is in the table, so the exit code of the app does not matter.
    """
    derivatives = write_descriptions(arguments.out, [variant.change for variant in variants])
    write_variants(variants, arguments.seed)
    flags = ["--models", str(arguments.models), *shlex.split(arguments.flags)]
    if derivatives:
        flags += ["-d", *(f"{name}={folder}" for name, folder in derivatives.items())]
    folders = [str(arguments.out / RAW), str(arguments.out / "results")]
    command = [sys.executable, "-m", "bids_shresnet", *folders, "participant", *flags]
    subprocess.run(command, check=False)


def score_variants(arguments: Arguments, model: Model, variants: Iterable[Variant]) -> pd.DataFrame:
    """Score the changed scans that have results, each against the truth of its scan."""
    noise = None
    if arguments.target_snr:
        directions = sum(map(len, model.target_directions))
        noise = TargetNoise(arguments.target_snr, directions)
    root = output_root(arguments.out / "results")
    rows: list[dict[str, object]] = []
    for variant in variants:
        if variant.change == UNCHANGED and not has_results(root, variant):
            msg = f"{variant.scan.name} has no results that others could be compared with"
            raise SystemExit(msg)
        if variant.change == UNCHANGED:
            truth = read_truth(variant.truth_stem, noise)
            unchanged = read_maps(root, variant, HARMONIZED_DESC)
        if has_results(root, variant):
            quality = read_quality(root, variant)
            rows += [row | quality for row in score_variant(root, variant, truth, unchanged)]
    return pd.DataFrame(rows)


def read_quality(root: Path, variant: Variant) -> dict[str, float]:
    """Read the share of the brain that is unlike the training data, and the noise in units of S0.

    The noise is NaN if the scan has no volumes to spare that it could be told from.
    """
    (path,) = find_outputs(root, variant, "_desc-harmonization_qc.json")
    record = read_json(path)[SCAN_KEY]
    return {"novel": record["NovelFraction"], "noise": record.get("NoiseLevel", float("nan"))}


def format_rows(scores: pd.DataFrame, warnings: Warnings) -> str:
    """Return one line per change and tissue: means over scans."""
    means = scores.groupby(["change", "tissue", "quantity"], sort=False).mean(numeric_only=True)
    lines = []
    for change, tissue in dict.fromkeys(zip(scores["change"], scores["tissue"], strict=True)):
        own = means.loc[change, tissue]
        cells = [change, tissue, f"{own.covered.iloc[0]:.0%}"]
        cells += [f"{own.input_bias[q]:+.1%} → {own.bias[q]:+.1%}" for q in QUANTITIES]
        cells += [f"{own.input_nmse[q]:.4f} → {own.nmse[q]:.4f}" for q in QUANTITIES]
        cells += [f"{own.to_unchanged[q]:+.1%}" for q in QUANTITIES]
        count = sum(map(len, warnings[change])) / len(warnings[change])
        cells += [f"{own.noise.iloc[0]:.3f}", f"{own.novel.iloc[0]:.1%}", f"{count:g}"]
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


def main() -> None:
    """Change the scans, harmonize them, and print the table and the warnings."""
    arguments = tyro.cli(Arguments)
    (model,) = find_models(arguments.models)
    variants = list_variants(arguments, model)
    if not arguments.check:
        harmonize(arguments, variants)
    warnings = read_all_warnings(output_root(arguments.out / "results"), variants)
    scores = score_variants(arguments, model, variants)
    sys.stdout.write(f"{HEADER}{format_rows(scores, warnings)}\n{format_warnings(warnings)}")


if __name__ == "__main__":
    main()
