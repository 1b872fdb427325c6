"""How many travelling subjects are enough: held-out errors and biases with fewer of them.

    PYTHONPATH=. python benchmarks/learning_curve.py BIDS OUT --counts 3 4 6 10

BIDS holds travelling heads of two scanners. For each count, the group level runs on so many of
them, with results in OUT/<count>. A Markdown table shows, by tissue, how much of the error without
harmonization is gone, and the bias of FA and MD, in voxels with signal on all sides; means over
held-out subjects. A command that was stopped goes on where it was; `--check` prints the table of
the results that are there.
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

from benchmarks.bad_heads import read_pair
from bids_shresnet.evaluation.results import INTERIOR_PLACES
from bids_shresnet.outputs.layout import output_root
from bids_shresnet.outputs.model.folder import find_models, models_folder
from bids_shresnet.settings import NO_HARMONIZATION

QUANTITIES = ("signal", "FA", "MD")
MAPS = ("FA", "MD")
HEADER = (
    "| subjects | method | tissue | signal | FA | MD | bias of FA | bias of MD |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


@dataclass(frozen=True)
class Arguments:
    """Cross-validate with fewer and fewer travelling subjects."""

    bids: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="BIDS")]
    """Travelling heads of two scanners."""
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="OUT")]
    """Folder for the results."""
    counts: tuple[int, ...] = (3, 4, 6, 10)
    """Numbers of travelling subjects."""
    methods: tuple[str, ...] = ("shresnet", "patch_linear")
    """Methods of the table."""
    flags: str = ""
    """Further flags of `bids-shresnet`, in one word."""
    check: bool = False
    """Only print the table of the results in OUT."""


def choose_excluded(labels: Sequence[str], count: int) -> list[str]:
    """Return the subjects to exclude so that the first `count` remain.

    Raises
    ------
    SystemExit
        If there are fewer.
    """
    if count > len(labels):
        msg = f"{count} travelling subjects were asked for, but there are {len(labels)}"
        raise SystemExit(msg)
    return sorted(labels)[count:]


def cross_validate(arguments: Arguments, count: int, labels: Sequence[str]) -> None:
    """Run the group level on some of the subjects."""
    excluded = choose_excluded(labels, count)
    flags = ["--exclude-participant-label", *excluded] if excluded else []
    methods = ["--methods", *arguments.methods]
    command = [sys.executable, "-m", "bids_shresnet", str(arguments.bids)]
    level = [str(arguments.out / str(count)), "group"]
    subprocess.run([*command, *level, *methods, *flags, *shlex.split(arguments.flags)], check=True)


def read_held_out(results: Path) -> pd.DataFrame:
    """Read the rows of held-out subjects of the only model of a run, without the brain's edge."""
    (model,) = find_models(models_folder(output_root(results)))
    rows: pd.DataFrame = model.heldout()
    return rows[rows["places"] == INTERIOR_PLACES]


def format_rows(count: int, held_out: pd.DataFrame, methods: Iterable[str]) -> str:
    """Return one line per method and tissue: decreases of NMSE and biases, in percent."""
    means = held_out.groupby(["method", "tissue", "quantity"])[["nmse", "bias"]].mean()
    lines = []
    for method in methods:
        for tissue in sorted(held_out["tissue"].unique(), reverse=True):
            before = means.loc[NO_HARMONIZATION, tissue]
            after = means.loc[method, tissue]
            decreases = [1 - after.nmse[name] / before.nmse[name] for name in QUANTITIES]
            cells = [f"{100 * value:.1f} %" for value in decreases]
            cells += [f"{100 * after.bias[name]:+.1f} %" for name in MAPS]
            lines.append(f"| {count} | {method} | {tissue} | {' | '.join(cells)} |\n")
    return "".join(lines)


def main() -> None:
    """Run the group level for each count, and print the table."""
    arguments = tyro.cli(Arguments)
    if not arguments.check:
        labels = [source.subject for source, _ in read_pair(arguments.bids).travelling_scans]
        for count in arguments.counts:
            cross_validate(arguments, count, labels)
    sys.stdout.write(HEADER)
    for count in arguments.counts:
        held_out = read_held_out(arguments.out / str(count))
        sys.stdout.write(format_rows(count, held_out, arguments.methods))


if __name__ == "__main__":
    main()
