"""Warnings about a harmonized scan, from the record of its harmonization."""

from __future__ import annotations

from bids_shresnet.diffusion.novelty import EXPECTED_NOVEL_FRACTION, WARN_NOVEL_FRACTION
from bids_shresnet.report.page import format_percent
from bids_shresnet.report.subject_report import ScanReport

WARN_CLIPPED_FRACTION = 0.01  # share of S/S0 outside [0, 1]


def scan_warnings(scan: ScanReport) -> list[str]:
    """Return what a reader must know before using the scan, one text per warning."""
    return [*record_warnings(scan), *_figures_warnings(scan)]


def record_warnings(scan: ScanReport) -> list[str]:
    """Return the warnings that the record of the harmonization alone tells."""
    warnings = (
        _novelty_warning(scan),
        _protocol_warning(scan),
        _clipping_warning(scan),
        _prediction_warning(scan),
        _error_warning(scan),
    )
    return [warning for warning in warnings if warning]


def _novelty_warning(scan: ScanReport) -> str:
    novelty = scan.harmonization["Novelty"]
    if novelty["MarkedFraction"] <= WARN_NOVEL_FRACTION:
        return ""
    warning = (
        f"{_format_share(novelty['MarkedFraction'])} of the brain is out of distribution (about "
        f"{EXPECTED_NOVEL_FRACTION:.0%} is typical of a healthy scan)."
    )
    if novelty["LeftUnharmonized"]:
        return f"{warning} These voxels were left unharmonized."
    return warning


def _protocol_warning(scan: ScanReport) -> str:
    differences = scan.harmonization["ProtocolDifferences"]
    if not differences:
        return ""
    sentences = [f"{difference[0].upper()}{difference[1:]}." for difference in differences]
    return f"The scan differs from those of the training. {' '.join(sentences)}"


def _clipping_warning(scan: ScanReport) -> str:
    clipped = scan.harmonization["ClippedSignal"]
    if clipped <= WARN_CLIPPED_FRACTION:
        return ""
    return (
        f"{_format_share(clipped)} of S/S0 was outside 0 to 1 and was clipped. Check the b0 "
        "volumes, and the scan for motion."
    )


def _prediction_warning(scan: ScanReport) -> str:
    shells = scan.harmonization.get("PredictedShells", [])
    if not shells:
        return ""
    bvalues = ", ".join(f"{shell['BValue']:.0f}" for shell in shells)
    return f"The shells b = {bvalues} s/mm² are predictions; they were never measured in any form."


def _error_warning(scan: ScanReport) -> str:
    larger = [
        f"{error.title} ({error.before:.3g} to {error.after:.3g})"
        for error in scan.held_out_errors
        if error.after > error.before
    ]
    if not larger:
        return ""
    return f"For this subject the error (NMSE) became larger in {', '.join(larger)}."


def _figures_warnings(scan: ScanReport) -> list[str]:
    if scan.gallery:
        return []
    return ["The figures of this scan are missing. Run `participant` to draw them again."]


def _format_share(fraction: float) -> str:
    return format_percent(fraction).removeprefix("+")
