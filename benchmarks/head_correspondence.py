"""How far bad travelling heads are from good ones, which the limits for leaving them out rest on.

    PYTHONPATH=. python benchmarks/head_correspondence.py BIDS

For each travelling subject of BIDS (two scanners), the correlations of its two scans after
registration are compared with those of its source scan and the next subject's target scan, and
with those after its source scan is flipped left-right. Prints a table.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copyfile
from typing import Annotated

import tyro

from benchmarks.bad_heads import flip_image, read_pair
from bids_shresnet.pairs import Pair, RegistrationQuality
from bids_shresnet.planning.pair_shells import PairShells, match_pair_shells
from bids_shresnet.scans import Scan
from bids_shresnet.training.match_scans import match_scans

QUANTITIES = ("signal_correlation", "orientation_correlation")
HEADER = "| two scans | heads | signal correlation | directional correlation |\n|---|---|---|---|"


@dataclass(frozen=True)
class Arguments:
    """Print the correlations of good and of bad heads."""

    bids: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="BIDS")]
    """Travelling heads of two scanners."""


def measure_kinds(pair: Pair, folder: Path) -> Iterator[tuple[str, list[RegistrationQuality]]]:
    """Yield each kind of two scans, with the quality for each subject."""
    own = list(pair.travelling_scans)
    next_subjects = zip(own, [*own[1:], own[0]], strict=True)
    others = [(source, target) for (source, _), (_, target) in next_subjects]
    flipped = [(flip_scan(source, folder), target) for source, target in own]
    shells = match_pair_shells(pair, None)
    plain = PairShells(shells.source, shells.target)
    for kind, scans in (("one head", own), ("two heads", others), ("one is flipped", flipped)):
        yield kind, [measure(source, target, plain) for source, target in scans]


def flip_scan(scan: Scan, folder: Path) -> Scan:
    """Write a flipped copy of a scan."""
    path = folder / scan.image.name
    copyfile(scan.image, path)
    flip_image(path)
    return replace(scan, image=path)


def measure(source: Scan, target: Scan, shells: PairShells) -> RegistrationQuality:
    """Register two scans and correlate them."""
    quality = match_scans(source, target, shells).quality
    assert quality is not None
    return quality


def format_row(kind: str, qualities: Sequence[RegistrationQuality]) -> str:
    """Give the range of each correlation."""
    cells = []
    for name in QUANTITIES:
        values = [getattr(quality, name) for quality in qualities]
        cells.append(f"{min(values):.3f} to {max(values):.3f}")
    return f"| {kind} | {len(qualities)} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    pair = read_pair(tyro.cli(Arguments).bids)
    sys.stdout.write(f"{HEADER}\n")
    with tempfile.TemporaryDirectory() as folder:
        for kind, qualities in measure_kinds(pair, Path(folder)):
            sys.stdout.write(f"{format_row(kind, qualities)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
