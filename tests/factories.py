"""What tests in many folders need, with defaults for all that they do not care about."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from bids_shresnet.scans import Scan


def make_scan(stem: Path | None = None, *, subject: str = "01", **fields: Any) -> Scan:
    """Return a scan whose files begin with `stem`; they need not exist."""
    stem = stem or Path(f"sub-{subject}_dwi")
    scan = Scan(
        image=stem.with_name(f"{stem.name}.nii.gz"),
        bval=stem.with_name(f"{stem.name}.bval"),
        bvec=stem.with_name(f"{stem.name}.bvec"),
        entities={"subject": subject},
        metadata={},
        scanner=None,
        bvals=(),
        dataset=stem.parent,
    )
    return replace(scan, **fields)
