"""Scanner pairs, and what is left of a dataset for them: inventory, selection, travelling subjects, shells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer

from bids_shresnet.errors import Finding
from bids_shresnet.scans import Scan, Scanner, ShImage


@dataclass(frozen=True)
class ExcludedScan:
    """A DWI that is not used.

    Attributes
    ----------
    subject, session
        Labels; empty where the name has none.
    reason
        Why it is not used, in words that a radiographer understands.
    scanner_label
        Empty where the scanner is not known.
    """

    image: Path
    subject: str
    session: str
    reason: str
    scanner_label: str = ""

    @classmethod
    def from_scan(cls, scan: Scan, reason: str) -> ExcludedScan:
        """Exclude a usable scan."""
        return cls(
            image=scan.image,
            subject=scan.subject,
            session=scan.session,
            reason=reason,
            scanner_label=scan.scanner_label,
        )


@dataclass(frozen=True)
class Inventory:
    """All DWI of a dataset: usable scans, excluded files, and what is wrong or odd.

    Attributes
    ----------
    scans
        Also those whose image cannot be read: an error then says so, but they can be planned with.
    findings
        One a file.
    conflicts
        Findings about conflicting metadata of a scanner, by its label.
    """

    scans: tuple[Scan, ...]
    excluded: tuple[ExcludedScan, ...]
    findings: tuple[Finding, ...]
    conflicts: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)

    @property
    def scanners(self) -> dict[str, Scanner]:
        """By label, sorted."""
        found = {scan.scanner.label: scan.scanner for scan in self.scans if scan.scanner}
        return dict(sorted(found.items()))

    def scanner_scans(self, label: str) -> tuple[Scan, ...]:
        """The scans of one scanner."""
        return tuple(scan for scan in self.scans if scan.scanner_label == label)


@dataclass(frozen=True)
class Selection:
    """The scans to harmonize, and the other usable scans, each with the reason."""

    scans: tuple[Scan, ...]
    excluded: tuple[ExcludedScan, ...]


@dataclass(frozen=True)
class Pair:
    """A source and a target scanner with the travelling subjects scanned on both.

    Attributes
    ----------
    travelling_scans
        One (source scan, target scan) a subject, by subject label.
    repeats
        One (further target scan, target scan) for each of them that was scanned twice on the target.
    """

    source: Scanner
    target: Scanner
    travelling_scans: tuple[tuple[Scan, Scan], ...]
    repeats: tuple[tuple[Scan, Scan], ...] = ()

    @property
    def name(self) -> str:
        """`from-<source>_to-<target>`, the name of its model folder."""
        return f"from-{self.source.label}_to-{self.target.label}"

    @property
    def label(self) -> str:
        """`SOURCE:TARGET`, as `--pair` names it."""
        return f"{self.source.label}:{self.target.label}"


@dataclass(frozen=True)
class Split:
    """Which subjects a fold trains on, stops by and never sees."""

    training: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class MatchedVoxels:
    """Training data of one travelling subject: the same positions on both scanners.

    Attributes
    ----------
    patches
        Source channels (coefficients, then contrast) of the 3x3x3 neighbours (C order) of the point that corresponds to
        a target voxel, at the source's spacing, along its axes and in its head pose: as the source scan looks at
        application.
    signal
        The target's S/S0 there, as measured: neither interpolated nor smoothed; all shells' directions side by side.
    bvals, bvecs
        Of the signal, as the target measured it; the directions are turned into the source's head pose.
    sh_matrix
        From stacked coefficients to the signal in these directions.
    noise_variance
        Variance of the noise in one value of the signal.
    points
        Where the patches' centres are in the source scan, RAS+ mm.
    tissue
        Values of `Tissue`; 0 and CSF occur where they border on grey or white matter.
    """

    patches: Float[np.ndarray, "v 27 n"]
    signal: Float[np.ndarray, "v d"]
    bvals: Float[np.ndarray, " d"]
    bvecs: Float[np.ndarray, "d 3"]
    sh_matrix: Float[np.ndarray, "d c"]
    noise_variance: Float[np.ndarray, " v"]
    points: Float[np.ndarray, "v 3"]
    tissue: Integer[np.ndarray, " v"]


@dataclass(frozen=True)
class UnharmonizedData:
    """What the two scanners measured at the matched places, without any method between them.

    Attributes
    ----------
    source_coefficients
        The source's, fitted without smoothing.
    source_maps
        FA and MD (mm2/s) of the source, on its own grid.
    target_maps
        FA and MD of the target at the matched places.
    """

    source_coefficients: Float[np.ndarray, "v c"]
    source_maps: Float[np.ndarray, "x y z 2"]
    target_maps: Float[np.ndarray, "v 2"]


@dataclass(frozen=True)
class TravellingSubject:
    """A travelling subject as the methods see it: the source scan, and the training data from both scans.

    Attributes
    ----------
    missing_shells
        The same places, but the signal of the shells that the target has and the source lacks; None if that was not
        asked for.
    """

    source: ShImage
    matched: MatchedVoxels
    unharmonized: UnharmonizedData
    missing_shells: MatchedVoxels | None = None
