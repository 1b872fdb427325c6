"""Compare harmonized scans with the phantom's truth: one tensor fit for all, then the error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.tensors import fit_tensor_maps
from bids_shresnet.errors import BadInput, Finding, InputMissing
from bids_shresnet.evaluation.quantities import nmse
from bids_shresnet.inputs.load_scan import describe_image
from bids_shresnet.io.images.nifti import GRID_TOLERANCE_MM, read_dwi, read_labels
from bids_shresnet.scans import Dwi

TISSUE_LABELS = {"WM": 2, "GM": 1}  # of the truth
SCORED_QUANTITIES = ("signal", "FA", "MD")
SAME_DIRECTION_COSINE = 0.99  # written b-vectors keep six decimals


@dataclass(frozen=True, kw_only=True)
class PhantomScore:
    """Error of one quantity in one tissue of one scan, before and after harmonization.

    Attributes
    ----------
    input_nmse, harmonized_nmse
        NMSE (Koppers et al. 2018, Eq. 2): sum of squared differences over the truth's sum of
        squares.
    """

    subject: str
    session: str
    tissue: str
    quantity: str
    input_nmse: float
    harmonized_nmse: float


@dataclass(frozen=True)
class ScoredScan:
    """A truth of the phantom, and the scans to compare with it."""

    truth: Path
    raw: Path
    harmonized: Path

    @property
    def subject(self) -> str:
        """`sub-<label>`."""
        return self.truth.parent.name

    @property
    def session(self) -> str:
        """`ses-<label>`."""
        return self.truth.name.split("_")[0]

    @property
    def tissue(self) -> Path:
        """Labels of pure tissue."""
        return self.truth.with_name(self.truth.name.replace("_dwi.", "_tissue."))


def score_scans(dataset: Path, output: Path) -> list[PhantomScore]:
    """Score every harmonized scan below `output` that has a truth in the folder `dataset`.

    Raises
    ------
    InputMissing
        If the phantom has no truth, or `output` no harmonized scan of it.
    BadInput
        If a harmonized scan has another grid or other directions than its source.
    """
    truths = sorted((dataset / "truth").glob("sub-*/ses-*_dwi.nii.gz"))
    if not truths:
        msg = f"{dataset}/truth holds no truth; simulate the phantom without --no-truth"
        raise InputMissing(msg)
    scores: list[PhantomScore] = []
    for truth in truths:
        scan = _find_scan(dataset, output, truth)
        if scan is not None:
            scores += _score_scan(scan)
    if not scores:
        msg = (
            f"{output} holds no harmonized scan of {dataset}; "
            "name the output folder of a participant run"
        )
        raise InputMissing(msg)
    return scores


def format_scores(scores: Sequence[PhantomScore]) -> str:
    """Format the mean over scans, one line per tissue and quantity."""
    scan_count = len({(score.subject, score.session) for score in scores})
    lines = [
        f"NMSE to the truth, mean of {scan_count} scans",
        f"{'':10}{'before':>10}{'after':>10}{'decrease':>10}",
    ]
    for tissue in TISSUE_LABELS:
        for quantity in SCORED_QUANTITIES:
            rows = [row for row in scores if row.tissue == tissue and row.quantity == quantity]
            lines.append(_format_line(rows))
    return "\n".join(lines) + "\n"


def _format_line(rows: Sequence[PhantomScore]) -> str:
    """Format the scores of one tissue and quantity."""
    before = float(np.mean([row.input_nmse for row in rows]))
    after = float(np.mean([row.harmonized_nmse for row in rows]))
    name = f"{rows[0].tissue} {rows[0].quantity:7}"
    return f"{name}{before:10.5f}{after:10.5f}{1 - after / before:10.1%}"


def _find_scan(dataset: Path, output: Path, truth: Path) -> ScoredScan | None:
    """Find the scans that belong to a truth; None if the scan was not harmonized."""
    subject = truth.parent.name
    session = truth.name.split("_")[0]
    pattern = f"{subject}_{session}_*desc-harmonized*_dwi.nii.gz"
    harmonized = sorted(output.rglob(pattern))
    if not harmonized:
        return None
    raw = dataset / "bids" / subject / session / "dwi" / f"{subject}_{session}_dwi.nii.gz"
    return ScoredScan(truth, raw, harmonized[0])


def _score_scan(scan: ScoredScan) -> list[PhantomScore]:
    """Score all tissues and quantities of one scan."""
    truth_dwi = read_dwi(describe_image(scan.truth))
    labels = read_labels(scan.tissue, truth_dwi.shape, truth_dwi.affine)
    mask = labels > 0
    truth = _compute_quantities(truth_dwi, mask)
    before = _compute_quantities(_read_comparable(scan.raw, truth_dwi), mask)
    after = _compute_quantities(_read_comparable(scan.harmonized, truth_dwi), mask)
    scores = []
    for tissue, label in TISSUE_LABELS.items():
        is_tissue = labels[mask] == label
        for quantity in SCORED_QUANTITIES:
            true_values = truth[quantity][is_tissue]
            score = PhantomScore(
                subject=scan.subject,
                session=scan.session,
                tissue=tissue,
                quantity=quantity,
                input_nmse=nmse(true_values, before[quantity][is_tissue]),
                harmonized_nmse=nmse(true_values, after[quantity][is_tissue]),
            )
            scores.append(score)
    return scores


def _compute_quantities(
    dwi: Dwi, mask: Bool[np.ndarray, "x y z"]
) -> dict[str, Float[np.ndarray, "voxel *n"]]:
    """Compute S/S0, FA and MD of the voxels of a mask."""
    data = dwi.data[mask]
    s0 = np.maximum(data[:, dwi.is_b0].mean(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    maps = fit_tensor_maps(dwi, mask)
    return {"signal": data[:, ~dwi.is_b0] / s0, "FA": maps.fa[mask], "MD": maps.md[mask]}


def _read_comparable(path: Path, truth: Dwi) -> Dwi:
    """Read a scan that must have the truth's grid and directions."""
    dwi = read_dwi(describe_image(path))
    if not _is_comparable(dwi, truth):
        value = "another grid or other directions than the source scan"
        remedy = "Harmonize with --output-directions source."
        raise BadInput([Finding("error", str(path), value, remedy)])
    return dwi


def _is_comparable(dwi: Dwi, truth: Dwi) -> bool:
    if dwi.data.shape != truth.data.shape:
        return False
    if not np.allclose(dwi.affine, truth.affine, atol=GRID_TOLERANCE_MM):
        return False
    cosines = np.abs((dwi.bvecs * truth.bvecs).sum(axis=1))
    return bool(cosines[~truth.is_b0].min() >= SAME_DIRECTION_COSINE)
