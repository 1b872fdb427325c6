"""Classification of DWI files: usable scans, and files excluded for a reason or an error."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.gradients import number_axes
from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.inputs.acquisition_times import find_acquisition_time
from bids_shresnet.inputs.bvec_axes import find_bvec_axes
from bids_shresnet.inputs.dwi_file import DwiFile, read_raw_gradients
from bids_shresnet.inputs.filters import BidsFilter
from bids_shresnet.inputs.scanners import ScannerNaming, identify_scanner
from bids_shresnet.io.images.nifti_header import read_grid
from bids_shresnet.pairs import ExcludedScan
from bids_shresnet.planning.checks.derived_images import ImageMatcher
from bids_shresnet.planning.checks.dwi_files import (
    check_sidecar,
    check_volume_count,
    name_exclusion_reason,
    volume_exclusion_reason,
)
from bids_shresnet.planning.checks.gradients import (
    check_bval_units,
    check_gradients,
    gradient_exclusion_reason,
)
from bids_shresnet.planning.checks.headers import check_header
from bids_shresnet.planning.checks.unused_inputs import check_folder
from bids_shresnet.scans import Scan, Scanner


@dataclass(frozen=True)
class Classification:
    """A usable or an excluded scan, with the findings about its file."""

    scan: Scan | ExcludedScan
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class FileClassifier:
    """Decides which DWI files are usable.

    Attributes
    ----------
    naming, bids_filter
        How scanners are named, and which files the user asks for.
    is_identity_required
        Whether an unknown scanner is an error, and not a reason to exclude the scan.
    opened_subjects
        Labels of the subjects whose images are opened; all by default.
    """

    naming: ScannerNaming
    bids_filter: BidsFilter
    is_identity_required: bool
    opened_subjects: Collection[str] = ()

    def classify(self, file: DwiFile) -> Classification:
        """Check names first, then gradients, the scanner, and last the header of the image."""
        if reason := name_exclusion_reason(file) or self.bids_filter.exclusion_reason(file):
            return _exclude(file, reason)
        try:
            bvals, bvecs = read_raw_gradients(file)
        except BadInput as error:
            return _classify_without_gradients(file, error.findings)
        if reason := gradient_exclusion_reason(bvals, bvecs):
            return _exclude(file, reason, check_bval_units(file, bvals, bvecs))
        scanner = identify_scanner(file, self.naming)
        if isinstance(scanner, Finding) and not self.is_identity_required:
            return _exclude(file, scanner.value, file.findings)
        findings = [*file.findings, *check_folder(file), *check_sidecar(file)]
        findings += check_gradients(file, bvals, bvecs)
        if isinstance(scanner, Finding):
            findings.append(scanner)
            scan = self._make_scan(file, None, bvals, bvecs)
            return _classify_by_header(file, scan, bvecs, findings)
        scan = self._make_scan(file, scanner, bvals, bvecs)
        if self.opened_subjects and scan.subject not in self.opened_subjects:
            return _accept(file, scan, findings)
        return _classify_by_header(file, scan, bvecs, findings)

    def _make_scan(
        self,
        file: DwiFile,
        scanner: Scanner | None,
        bvals: Float[np.ndarray, " n"],
        bvecs: Float[np.ndarray, "m 3"],
    ) -> Scan:
        """Make a scan of a file with gradient tables, which may still have errors."""
        assert file.bval is not None
        assert file.bvec is not None
        raw_name = file.raw_images[0].name if file.raw_images else file.image.name
        times = self.naming.acquisition_times
        return Scan(
            image=file.image,
            bval=file.bval,
            bvec=file.bvec,
            entities=file.entities,
            metadata=file.metadata,
            scanner=scanner,
            bvals=tuple(bvals.tolist()),
            axis_numbers=_number_axes(bvals, bvecs),
            dataset=file.dataset,
            b_table=file.b_table,
            acquired=find_acquisition_time(raw_name, file.metadata, times),
        )


def _number_axes(
    bvals: Float[np.ndarray, " n"], bvecs: Float[np.ndarray, "m 3"]
) -> tuple[int, ...]:
    """Number the axes of all volumes; nothing if the tables are not of one scan."""
    return tuple(number_axes(bvecs).tolist()) if len(bvecs) == len(bvals) else ()


def _classify_without_gradients(file: DwiFile, problems: Iterable[Finding]) -> Classification:
    """Exclude a file without gradient tables.

    A few volumes that never had b-values are no error.
    """
    findings = [*file.findings, *problems]
    if file.bval is None:
        try:
            shape, _ = read_grid(file.image)
        except BadInput:  # the missing .bval is an error already
            return _exclude_broken(file, findings)
        if reason := volume_exclusion_reason(shape):
            return _exclude(file, reason)
    return _exclude_broken(file, findings)


def _classify_by_header(
    file: DwiFile, scan: Scan, bvecs: Float[np.ndarray, "m 3"], findings: list[Finding]
) -> Classification:
    """Compare a scan with the header of its image, and find its mask and segmentation.

    A scan that lacks only its image is kept, so that scanners and pairs can be shown before annexed
    images are fetched. Its error is among the findings.
    """
    try:
        shape, affine = read_grid(file.image)
        axes, disagreements = find_bvec_axes(file, bvecs, affine)
    except BadInput as error:
        if scan.scanner is None:  # its content is needed once its scanner is known
            return _exclude_broken(file, findings)
        findings = [*findings, *error.findings]
        if len(_errors(findings)) == 1:
            return Classification(scan, tuple(findings))
        return _exclude_broken(file, findings)
    matcher = ImageMatcher(file, shape, affine)
    mask = matcher.find_first(file.masks, lambda path: (path,))
    segmentation = matcher.find_first(file.segmentations, lambda candidate: candidate.files)
    scan = replace(scan, mask=mask, segmentation=segmentation, bvec_axes=axes)
    scan = replace(scan, regions=matcher.find_all(file.regions))
    findings = [
        *findings,
        *check_volume_count(file, shape, len(scan.bvals)),
        *check_header(file.image, shape, affine),
        *disagreements,
        *matcher.findings,
    ]
    return _accept(file, scan, findings)


def _accept(file: DwiFile, scan: Scan, findings: Iterable[Finding]) -> Classification:
    """Accept a scan unless there are errors."""
    findings = tuple(findings)
    return _exclude_broken(file, findings) if _errors(findings) else Classification(scan, findings)


def _exclude_broken(file: DwiFile, findings: Iterable[Finding]) -> Classification:
    """Exclude a file for its errors."""
    findings = tuple(findings)
    reason = "; ".join(error.value for error in _errors(findings))
    return _exclude(file, reason, findings)


def _exclude(file: DwiFile, reason: str, findings: Iterable[Finding] = ()) -> Classification:
    """Exclude a file for a reason."""
    scan = ExcludedScan(
        image=file.image,
        subject=file.entities.get("subject", ""),
        session=file.entities.get("session", ""),
        reason=reason,
    )
    return Classification(scan, tuple(findings))


def _errors(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that are errors."""
    return [finding for finding in findings if finding.severity == "error"]
