"""Inventory and selection of scans, pairs of scanners, and the data of travelling subjects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer

from bids_shresnet.errors import Finding
from bids_shresnet.scans import Scan, Scanner, ShImage

NOT_REQUESTED = "not asked for"  # how the reason of an ExcludedScan begins if flags exclude it
NOT_TRAINED_ON = "not trained on"  # how the reason of a scan begins that training left out
ALL_SUBJECTS = 0  # number of the fit that holds out nobody; folds are numbered from 1


@dataclass(frozen=True)
class ExcludedScan:
    """A DWI that is not used.

    Attributes
    ----------
    subject, session
        Labels; empty if the file name has none.
    reason
        Why it is not used, in words that a radiographer understands.
    scanner_label
        Empty if the scanner is not known.
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
        Usable scans. Scans with an unreadable image count, with an error in `findings`, so that
        pairs can be planned with them.
    findings
        Everything that is wrong or unusual, one finding per file.
    conflicts
        Findings about conflicting metadata of a scanner, by its label.
    """

    scans: tuple[Scan, ...]
    excluded: tuple[ExcludedScan, ...]
    findings: tuple[Finding, ...]
    conflicts: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)

    @property
    def scanners(self) -> dict[str, Scanner]:
        """Scanners by label, in alphabetical order."""
        scanners = {scan.scanner.label: scan.scanner for scan in self.scans if scan.scanner}
        return dict(sorted(scanners.items()))

    def scanner_scans(self, label: str) -> tuple[Scan, ...]:
        """Return the scans of one scanner."""
        return tuple(scan for scan in self.scans if scan.scanner_label == label)


@dataclass(frozen=True)
class Selection:
    """The scans of the analysis, and the reasons why other scans are not harmonized.

    Attributes
    ----------
    scans
        Scans to harmonize.
    excluded
        All other usable scans, with the reason for each.
    target_scans
        Scans of a target scanner that were asked for. They stay as they are, and get maps.
    """

    scans: tuple[Scan, ...]
    excluded: tuple[ExcludedScan, ...]
    target_scans: tuple[Scan, ...] = ()

    @property
    def written_scans(self) -> tuple[Scan, ...]:
        """Scans that something is written for; one of a target may be among both."""
        return (*self.scans, *self.target_scans)


@dataclass(frozen=True)
class Pair:
    """A source and a target scanner with the travelling subjects scanned on both.

    Attributes
    ----------
    travelling_scans
        (source scan, target scan) of each subject, by subject label.
    repeats
        (another target scan, target scan) of each subject that was scanned twice on the target.
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
    """The subjects of a fold.

    Attributes
    ----------
    training
        Subjects to train on.
    validation
        Subjects that stop the training early.
    test
        Held-out subjects.
    """

    training: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class MatchedVoxels:
    """Training data of one travelling subject: the same positions on both scanners.

    Attributes
    ----------
    patches
        Source channels (coefficients, then contrast) of 3x3x3 neighbours (C order) around the
        point that corresponds to a target voxel. They are sampled at the source's spacing, along
        its axes and in its head pose, as when the model is applied.
    signal
        S/S0 of the target voxel as measured, neither interpolated nor smoothed. The directions of
        all shells are side by side.
    bvals, bvecs
        b-values (s/mm2) and directions of the signal, rotated into the source's head pose.
    sh_matrix
        Matrix from stacked coefficients to the signal in these directions.
    noise_variance
        Variance of the noise in one value of the signal.
    source_s0
        S0 of the source at the points, over its median in the brain.
    points
        Centres of the patches in the scan that they come from, RAS+ mm.
    tissue
        Values of `Tissue`. Background (0) and CSF occur next to grey or white matter.
    denoised_patches
        Coefficients of the patches without most of their noise, where these are of a half of a
        scan; None for a whole scan, whose image has them (`TravellingSubject.source_denoised`).
    """

    patches: Float[np.ndarray, "v 27 n"]
    signal: Float[np.ndarray, "v d"]
    bvals: Float[np.ndarray, " d"]
    bvecs: Float[np.ndarray, "d 3"]
    sh_matrix: Float[np.ndarray, "d c"]
    noise_variance: Float[np.ndarray, " v"]
    source_s0: Float[np.ndarray, " v"]
    points: Float[np.ndarray, "v 3"]
    tissue: Integer[np.ndarray, " v"]
    denoised_patches: Float[np.ndarray, "v 27 c"] | None = None

    @property
    def is_half(self) -> bool:
        """True if the patches are those of voxels of a half of a scan, not sampled at points."""
        return self.denoised_patches is not None


@dataclass(frozen=True)
class UnharmonizedData:
    """Measurements of both scanners without harmonization.

    Attributes
    ----------
    source_coefficients
        Coefficients of the source at the matched voxels, fitted without smoothing.
    source_maps
        FA and MD (mm2/s) of the source, on its own grid.
    target_maps
        FA and MD (mm2/s) of the target at the matched voxels.
    target_tensor_bvals
        b-values (s/mm2) of the target's volumes that these rest on, those of b0 volumes included.
    """

    source_coefficients: Float[np.ndarray, "v c"]
    source_maps: Float[np.ndarray, "x y z 2"]
    target_maps: Float[np.ndarray, "v 2"]
    target_tensor_bvals: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class RegistrationQuality:
    """How well the two scans of a travelling subject correspond after registration.

    Attributes
    ----------
    overlap
        Share of the target's tissue that lies in the source's brain.
    signal_correlation
        Correlation of both signals over voxels, each averaged over directions.
    orientation_correlation
        Correlation of what remains in white matter: of the dependence on direction.
    """

    overlap: float
    signal_correlation: float
    orientation_correlation: float


@dataclass(frozen=True)
class TravellingSubject:
    """The data of a travelling subject: the source scan, and training data from both scans.

    Attributes
    ----------
    source_denoised
        Coefficients of the source in the voxels of its mask, without most of their noise.
    missing_shells
        The same voxels with the signal of the shells that only the target has; None if these are
        not to be predicted.
    source_halves, target_halves
        Each half of a scan's directions, matched with the other half (`training.match_halves`);
        empty for a scan with too few directions.
    regions
        Labels of the target's parcellation at the matched voxels, 0 outside of all regions; None
        without a parcellation.
    quality
        Quality of the registration; None where it was not measured.
    """

    source: ShImage
    matched: MatchedVoxels
    unharmonized: UnharmonizedData
    source_denoised: Float[np.ndarray, "m c"]
    missing_shells: MatchedVoxels | None = None
    source_halves: tuple[MatchedVoxels, ...] = ()
    target_halves: tuple[MatchedVoxels, ...] = ()
    regions: Integer[np.ndarray, " v"] | None = None
    quality: RegistrationQuality | None = None
